//! A `biased` select whose first arm is always ready never looks at the second: shutdown is not seen.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// One operates, the other works until it is shut down.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.operate().await;
    }
    let Some(mut jobs) = world.jobs() else { return };
    loop {
        tokio::select! {
            biased;
            Some(job) = jobs.recv() => world.work(job).await,
            () = world.shutdown() => return,
        }
    }
}
// ANCHOR_END: program
