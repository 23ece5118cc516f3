//! A call without `.await`: the statement drops the future, and nothing is saved.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    world.save(1);
    world.confirm(1).await;
}
// ANCHOR_END: program
