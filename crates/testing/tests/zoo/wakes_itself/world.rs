//! A batch that is collected, and written after 20 ms.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The batch, and what was written.
#[derive(Debug)]
pub struct World {
    batch: Mutex<Vec<usize>>,
    written: Mutex<Vec<usize>>,
    /// When the batch is to be written.
    pub due: Instant,
    born: std::time::Instant,
}

impl World {
    /// Collects one, every 5 ms, three times.
    pub async fn collect(&self) {
        for item in 0..3 {
            sleep(Duration::from_millis(5)).await;
            self.batch.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        }
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        // A thread that was given up, and asks for ever, is not to burn the processor for ever.
        while self.born.elapsed() > Duration::from_secs(3) {
            thread::park();
        }
        Instant::now() >= self.due
    }

    /// Writes the batch.
    pub fn write(&self) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        self.written.lock().unwrap_or_else(PoisonError::into_inner).append(&mut batch);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World {
        batch: Mutex::default(),
        written: Mutex::default(),
        due: Instant::now() + Duration::from_millis(20),
        born: std::time::Instant::now(),
    })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let written = world.written.lock().map_err(|error| error.to_string())?;
    if *written == [0, 1, 2] { Ok(()) } else { Err(format!("written: {written:?}")) }
}
