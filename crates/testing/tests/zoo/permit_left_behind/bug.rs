//! The permit is taken before the task is spawned and not moved into it: the loop gives it back at once.

use super::world::{JOBS, World};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Runs all jobs.
pub async fn program(world: Arc<World>, _: usize) {
    let mut jobs = JoinSet::new();
    for job in 0..JOBS {
        let _permit = world.permits.acquire().await.expect("it is never closed");
        let world = world.clone();
        jobs.spawn(async move { world.run(job).await });
    }
    jobs.join_all().await;
}
