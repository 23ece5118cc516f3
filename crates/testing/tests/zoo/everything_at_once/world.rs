//! Forty files that are uploaded four at a time. Each is in memory from when it is read until it is uploaded.

use std::{sync::Arc, time::Duration};
use testing::proof::{Gauge, Inside};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many files there are.
pub const FILES: usize = 40;
/// How many are to be worked on at a time.
pub const AT_A_TIME: usize = 4;

/// A disk and a store.
#[derive(Debug, Default)]
pub struct World {
    in_memory: Gauge,
    uploads: Gauge,
}

/// The content of a file.
#[derive(Debug)]
pub struct Content {
    file: usize,
    _in_memory: Inside,
}

impl World {
    /// Takes 1 ms.
    pub async fn read(&self, file: usize) -> Content {
        let in_memory = self.in_memory.enter(format!("file {file}"));
        sleep(Duration::from_millis(1)).await;
        Content { file, _in_memory: in_memory }
    }

    /// Takes 10 ms.
    pub async fn upload(&self, content: Content) {
        let upload = sleep(Duration::from_millis(10));
        self.uploads.hold(format!("upload {}", content.file), upload).await;
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: all are uploaded, never more than four at once.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (total, peak) = (world.uploads.total(), world.uploads.peak());
    if total == FILES && peak <= AT_A_TIME {
        Ok(())
    } else {
        Err(format!("{total} uploaded, {peak} at once"))
    }
}

/// What a proof asserts: never more than four are in memory, and four are uploaded at once.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.uploads.check_total(FILES).map_err(|mismatch| mismatch.to_string())?;
    world.uploads.check_peak(AT_A_TIME).map_err(|mismatch| mismatch.to_string())?;
    world.in_memory.check_peak(AT_A_TIME).map_err(|mismatch| mismatch.to_string())
}
