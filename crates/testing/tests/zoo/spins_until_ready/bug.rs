//! A loop around `yield_now` waits for a flag: it takes the processor, and a paused clock stands still.

use super::world::World;
use std::sync::Arc;
use tokio::task::yield_now;

/// One warms up, the other serves when that is done.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.warm_up().await;
    }
    while !world.is_warm() {
        yield_now().await;
    }
    world.serve();
}
