//! Each error is somebody's to deal with.

use super::world::{READERS, World};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Sends it to all.
pub async fn program(world: Arc<World>, _: usize) {
    let mut sends = JoinSet::new();
    for reader in 0..READERS {
        sends.spawn(world.clone().send(reader));
    }
    // ANCHOR: cure
    for outcome in sends.join_all().await {
        match outcome.read() {
            Ok(reader) => world.sent.lock().expect("no panic holds it").push(reader),
            Err(error) => world.again.lock().expect("no panic holds it").push(error),
        }
    }
    // ANCHOR_END: cure
}
