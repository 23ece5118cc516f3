//! It sleeps until it is told.

use super::world::World;
use std::sync::Arc;

/// One warms up, the other serves when that is done.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.warm_up().await;
    }
    if world.warm.subscribe().wait_for(|warm| *warm).await.is_ok() {
        world.serve();
    }
}
