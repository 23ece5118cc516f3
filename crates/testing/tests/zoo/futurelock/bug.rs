//! Futurelock: an arm of `select!` waits for a lock that its own task was given, in a future it does not poll.

use super::world::World;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::sleep;

// ANCHOR: program
/// One makes a back-up, the other writes an order, and notes when that takes long.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.back_up().await;
    }
    let mut order = pin!(world.write("order 1"));
    tokio::select! {
        biased;
        () = &mut order => return,
        () = sleep(Duration::from_millis(500)) => world.write("slow").await,
    }
    order.await;
}
// ANCHOR_END: program
