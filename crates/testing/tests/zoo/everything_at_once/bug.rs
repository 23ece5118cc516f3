//! A task for every file at once, each with its content, waiting for a permit: all of them are in memory.

use super::world::{AT_A_TIME, FILES, World};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

// ANCHOR: program
/// Uploads all files.
pub async fn program(world: Arc<World>, _: usize) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut uploads = JoinSet::new();
    for file in 0..FILES {
        let content = world.read(file).await;
        let (world, permits) = (world.clone(), permits.clone());
        uploads.spawn(async move {
            let _permit = permits.acquire().await.expect("it is never closed");
            world.upload(content).await;
        });
    }
    uploads.join_all().await;
}
// ANCHOR_END: program
