//! A counter that several tasks increment.

use std::sync::Arc;
use tokio::sync::Mutex;

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The counter.
#[derive(Debug, Default)]
pub struct World {
    /// Behind a lock, and still.
    pub counter: Mutex<usize>,
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
    let counter = world.counter.try_lock().map_err(|error| error.to_string())?;
    if *counter == AT_ONCE { Ok(()) } else { Err(format!("{counter} of {AT_ONCE} increments")) }
}
