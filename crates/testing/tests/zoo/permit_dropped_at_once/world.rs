//! A service that stands two calls at once, and six callers.

use std::{sync::Arc, time::Duration};
use testing::proof::Gauge;
use tokio::{sync::Semaphore, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 6;
/// How many calls the service stands.
pub const LIMIT: usize = 2;

/// The service, and what is to protect it.
#[derive(Debug)]
pub struct World {
    /// A permit for each call.
    pub permits: Semaphore,
    calls: Gauge,
}

impl World {
    /// Takes 10 ms.
    pub async fn call(&self, caller: usize) {
        self.calls.hold(format!("call {caller}"), sleep(Duration::from_millis(10))).await;
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { permits: Semaphore::new(LIMIT), calls: Gauge::new() })
}

/// What an ordinary test asserts when the program has run: everybody was served, and all permits are back.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (calls, permits) = (world.calls.total(), world.permits.available_permits());
    if (calls, permits) == (AT_ONCE, LIMIT) {
        Ok(())
    } else {
        Err(format!("{calls} calls, {permits} permits"))
    }
}

/// What a proof asserts: two at once, no more and no less.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.calls.check_total(AT_ONCE).map_err(|mismatch| mismatch.to_string())?;
    world.calls.check_peak(LIMIT).map_err(|mismatch| mismatch.to_string())
}
