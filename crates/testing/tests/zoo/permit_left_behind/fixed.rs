//! An owned permit moves into the task.

use super::world::{JOBS, World};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Runs all jobs.
pub async fn program(world: Arc<World>, _: usize) {
    let mut jobs = JoinSet::new();
    for job in 0..JOBS {
        let permit = world.permits.clone().acquire_owned().await.expect("it is never closed");
        let world = world.clone();
        jobs.spawn(async move {
            world.run(job).await;
            drop(permit);
        });
    }
    jobs.join_all().await;
}
