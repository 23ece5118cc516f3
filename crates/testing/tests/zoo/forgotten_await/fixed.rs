//! With `.await`, it is saved before it is confirmed.

use super::world::World;
use std::sync::Arc;

/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    world.save(1).await;
    world.confirm(1).await;
}
