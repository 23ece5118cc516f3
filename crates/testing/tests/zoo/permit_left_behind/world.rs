//! Twelve jobs for a service that stands three at once.

use std::{sync::Arc, time::Duration};
use testing::proof::Gauge;
use tokio::{sync::Semaphore, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many jobs there are.
pub const JOBS: usize = 12;
/// How many the service stands.
pub const LIMIT: usize = 3;

/// The service, and what is to protect it.
#[derive(Debug)]
pub struct World {
    /// A permit for each job.
    pub permits: Arc<Semaphore>,
    jobs: Gauge,
}

impl World {
    /// Takes 10 ms.
    pub async fn run(&self, job: usize) {
        self.jobs.hold(format!("job {job}"), sleep(Duration::from_millis(10))).await;
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { permits: Arc::new(Semaphore::new(LIMIT)), jobs: Gauge::new() })
}

/// What an ordinary test asserts when the program has run: all were run, and all permits are back.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (jobs, permits) = (world.jobs.total(), world.permits.available_permits());
    if (jobs, permits) == (JOBS, LIMIT) { Ok(()) } else { Err(format!("{jobs} jobs, {permits} permits")) }
}

/// What a proof asserts: three at once, no more and no less.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.jobs.check_total(JOBS).map_err(|mismatch| mismatch.to_string())?;
    world.jobs.check_peak(LIMIT).map_err(|mismatch| mismatch.to_string())
}
