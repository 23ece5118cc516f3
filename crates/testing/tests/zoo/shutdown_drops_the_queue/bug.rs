//! At shutdown the worker returns, and with it goes the queue: what was accepted and not begun is never done.

use super::world::World;
use std::sync::Arc;

/// Works until it is shut down.
pub async fn program(world: Arc<World>, _: usize) {
    let Some(mut jobs) = world.jobs() else { return };
    loop {
        tokio::select! {
            biased;
            () = world.shutdown() => return,
            job = jobs.recv() => match job {
                Some(job) => world.work(job).await,
                None => return,
            },
        }
    }
}
