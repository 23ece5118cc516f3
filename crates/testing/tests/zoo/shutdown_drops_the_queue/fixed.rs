//! At shutdown the queue takes no more, and is worked off.

use super::world::World;
use std::sync::Arc;

/// Works until it is shut down.
pub async fn program(world: Arc<World>, _: usize) {
    let Some(mut jobs) = world.jobs() else { return };
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            () = world.shutdown(), if open => {
                open = false;
                jobs.close();
            }
            job = jobs.recv() => match job {
                Some(job) => world.work(job).await,
                None => return,
            },
        }
    }
}
