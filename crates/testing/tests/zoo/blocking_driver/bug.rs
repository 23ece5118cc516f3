//! A synchronous database driver in an async function: at each call the thread stands still until the server answers.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    let order = world.receive().await;
    let mut transaction = world.begin();
    transaction.insert(order);
    transaction.commit();
}
// ANCHOR_END: program
