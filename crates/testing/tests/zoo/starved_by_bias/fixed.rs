//! What ends the loop comes first.

use super::world::World;
use std::sync::Arc;

/// One operates, the other works until it is shut down.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.operate().await;
    }
    let Some(mut jobs) = world.jobs() else { return };
    loop {
        // ANCHOR: cure
        tokio::select! {
            biased;
            () = world.shutdown() => return,
            Some(job) = jobs.recv() => world.work(job).await,
        }
        // ANCHOR_END: cure
    }
}
