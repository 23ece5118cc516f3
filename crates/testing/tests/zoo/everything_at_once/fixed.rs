//! The permit comes first, and the task takes it along.

use super::world::{AT_A_TIME, FILES, World};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

/// Uploads all files.
pub async fn program(world: Arc<World>, _: usize) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut uploads = JoinSet::new();
    // ANCHOR: cure
    for file in 0..FILES {
        let permit = permits.clone().acquire_owned().await.expect("it is never closed");
        let content = world.read(file).await;
        let world = world.clone();
        uploads.spawn(async move {
            world.upload(content).await;
            drop(permit);
        });
    }
    // ANCHOR_END: cure
    uploads.join_all().await;
}
