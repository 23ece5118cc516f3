//! A task of its own polls the order, whatever else is awaited.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::sleep};

/// One makes a back-up, the other writes an order, and notes when that takes long.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.back_up().await;
    }
    // ANCHOR: cure
    let mut order = JoinSet::new();
    order.spawn(world.write("order 1"));
    tokio::select! {
        biased;
        _ = order.join_next() => return,
        () = sleep(Duration::from_millis(500)) => world.write("slow").await,
    }
    order.join_all().await;
    // ANCHOR_END: cure
}
