//! A handler that waits for its turn at a slow service, and a heartbeat beside it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// How many were served.
#[derive(Debug, Default)]
pub struct World {
    /// Counted by the program.
    pub served: AtomicU32,
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
    let served = world.served.load(Relaxed);
    if served == 1 { Ok(()) } else { Err(format!("{served} served, not 1")) }
}
