//! A table that is read page by page, through a cursor that is to be closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many pages there are.
pub const PAGES: usize = 5;

/// A database.
#[derive(Debug, Default)]
pub struct World {
    cursors: AtomicUsize,
    found: AtomicBool,
}

/// Closes a cursor when it is dropped.
#[derive(Debug)]
pub struct Cursor<'a>(&'a World);

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl World {
    /// Opens a cursor, for the caller to [`close`](Self::close).
    pub async fn open(&self) {
        sleep(Duration::from_millis(1)).await;
        self.cursors.fetch_add(1, Relaxed);
    }

    /// Opens a cursor that closes itself.
    pub async fn cursor(&self) -> Cursor<'_> {
        self.open().await;
        Cursor(self)
    }

    /// Reads a page.
    pub async fn read(&self, page: usize) -> usize {
        sleep(Duration::from_millis(10)).await;
        page
    }

    /// Closes a cursor.
    pub fn close(&self) {
        self.cursors.fetch_sub(1, Relaxed);
    }

    /// Takes the answer.
    pub fn answer(&self, found: bool) {
        self.found.store(found, Relaxed);
    }

    fn closed(&self) -> Result<(), String> {
        let cursors = self.cursors.load(Relaxed);
        if cursors == 0 { Ok(()) } else { Err(format!("open cursors: {cursors}")) }
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: it was found.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    if world.found.load(Relaxed) { Ok(()) } else { Err(String::from("not found")) }
}

/// What a proof asserts: no cursor is open.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.closed()
}

/// What must hold wherever the program is dropped: no cursor is open.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    world.closed()
}
