//! `notified()` is made first: it hears whatever comes after.

use super::world::World;
use std::sync::Arc;

/// One loads the configuration, the other serves when it is there.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.load().await;
    }
    // ANCHOR: cure
    let loaded = world.loaded.notified();
    if !world.is_ready() {
        world.log("waiting for the configuration").await;
        loaded.await;
    }
    // ANCHOR_END: cure
    world.log("serving").await;
}
