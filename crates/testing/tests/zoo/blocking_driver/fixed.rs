//! The whole transaction is one call on a thread for blocking calls, and there are as many of these as connections.

use super::world::World;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    let order = world.receive().await;
    // ANCHOR: cure
    let connection = world.connections.clone().acquire_owned().await.expect("it is never closed");
    let stored = spawn_blocking(move || {
        let mut transaction = world.begin();
        transaction.insert(order);
        transaction.commit();
        drop(connection);
    });
    stored.await.expect("it does not panic");
    // ANCHOR_END: cure
}
