//! A service that allows three calls at a time.

use std::{sync::Arc, time::Duration};
use testing::proof::Gauge;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many calls there are.
pub const CALLS: usize = 10;
/// How many may be in flight.
pub const LIMIT: usize = 3;

/// Counts the calls.
#[derive(Debug, Default)]
pub struct World {
    calls: Gauge,
}

impl World {
    /// Takes 10 ms.
    pub fn call(&self, n: usize) -> impl Future<Output = ()> + Send + use<> {
        self.calls.hold(format!("call {n}"), sleep(Duration::from_millis(10)))
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    world.calls.check_total(CALLS)?;
    Ok(world.calls.check_idle()?)
}

/// What a proof asserts: exactly three at the peak.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    Ok(world.calls.check_peak(LIMIT)?)
}
