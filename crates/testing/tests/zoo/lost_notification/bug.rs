//! The flag is checked before `notified()` is made: a `notify_waiters` in between reaches nobody.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// One loads the configuration, the other serves when it is there.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.load().await;
    }
    if !world.is_ready() {
        world.log("waiting for the configuration").await;
        world.loaded.notified().await;
    }
    world.log("serving").await;
}
// ANCHOR_END: program
