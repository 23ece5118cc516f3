//! A service that wants 100 ms between calls, and is slow once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many calls are to be made.
pub const CALLS: usize = 8;
/// The time between two calls.
pub const PERIOD: Duration = Duration::from_millis(100);

/// When it was called.
#[derive(Debug, Default)]
pub struct World {
    calls: Mutex<Vec<Instant>>,
}

impl World {
    /// Takes 10 ms; the second time, 550.
    pub async fn poll(&self) {
        let second = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(Instant::now());
            calls.len() == 2
        };
        sleep(Duration::from_millis(if second { 550 } else { 10 })).await;
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
    let calls = world.calls.lock().map_err(|error| error.to_string())?.len();
    if calls == CALLS { Ok(()) } else { Err(format!("{calls} of {CALLS} calls")) }
}

/// What a proof asserts: never two calls within less than the period.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let calls = world.calls.lock().map_err(|error| error.to_string())?;
    let shortest = calls.windows(2).map(|two| two[1] - two[0]).min();
    if shortest >= Some(PERIOD) { Ok(()) } else { Err(format!("two calls within {shortest:?}")) }
}
