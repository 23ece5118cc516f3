//! A server that serves once its configuration is loaded.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::sync::{Mutex, Notify};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The configuration, and a log.
#[derive(Debug, Default)]
pub struct World {
    ports: Mutex<Vec<u16>>,
    ready: AtomicBool,
    /// Tells those who wait that it is loaded.
    pub loaded: Notify,
    log: Mutex<Vec<&'static str>>,
}

impl World {
    /// Loads the configuration, and tells those who wait.
    pub async fn load(&self) {
        self.ports.lock().await.push(8080);
        self.ready.store(true, SeqCst);
        self.loaded.notify_waiters();
    }

    /// Whether it is loaded.
    pub fn is_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }

    /// Writes a line into the log.
    pub async fn log(&self, line: &'static str) {
        self.log.lock().await.push(line);
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
    let log = world.log.try_lock().map_err(|error| error.to_string())?;
    if log.last() == Some(&"serving") { Ok(()) } else { Err(format!("the log ends with {:?}", log.last())) }
}
