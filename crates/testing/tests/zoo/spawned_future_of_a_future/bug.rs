//! The async block that is spawned gives a future instead of awaiting it: the task ends at once.

use super::world::{ORDERS, World};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::task::JoinSet;

/// Saves all orders, and says how many.
pub async fn program(world: Arc<World>, _: usize) {
    let mut saves = JoinSet::new();
    for order in 0..ORDERS {
        let world = world.clone();
        saves.spawn(async move { world.save(order) });
    }
    world.replied.store(saves.join_all().await.len(), Relaxed);
}
