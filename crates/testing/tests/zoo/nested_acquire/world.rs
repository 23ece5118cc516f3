//! A database with a pool of two connections.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The pool, and what was written.
#[derive(Debug)]
pub struct World {
    /// A permit is a connection.
    pub pool: Semaphore,
    rows: Mutex<Vec<String>>,
}

impl World {
    /// Writes a row. Takes 10 ms, and a connection.
    pub async fn insert(&self, row: String) {
        sleep(Duration::from_millis(10)).await;
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { pool: Semaphore::new(2), rows: Mutex::default() })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let rows = world.rows.lock().map_err(|error| error.to_string())?;
    if rows.len() == 2 * AT_ONCE { Ok(()) } else { Err(format!("written: {rows:?}")) }
}
