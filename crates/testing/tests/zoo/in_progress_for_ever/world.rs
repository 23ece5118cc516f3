//! A cache of pages that are loaded once each.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The cache.
#[derive(Debug, Default)]
pub struct World {
    pages: Mutex<HashMap<u32, String>>,
    loading: Mutex<HashSet<u32>>,
}

impl World {
    fn marks(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a page as being loaded; false, if it is already.
    pub fn mark(&self, page: u32) -> bool {
        self.marks().insert(page)
    }

    /// Clears the mark.
    pub fn clear(&self, page: u32) {
        self.marks().remove(&page);
    }

    /// Takes 10 ms.
    pub async fn fetch(&self, page: u32) -> String {
        sleep(Duration::from_millis(10)).await;
        format!("page {page}")
    }

    /// Puts a page into the cache.
    pub fn put(&self, page: u32, text: String) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(page, text);
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
    let pages = world.pages.lock().map_err(|error| error.to_string())?;
    if pages.contains_key(&7) { Ok(()) } else { Err(String::from("page 7 is not in the cache")) }
}

/// What must hold wherever the program is dropped: the next caller may load the page.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    if world.mark(7) {
        Ok(())
    } else {
        Err(String::from("page 7 is being loaded, says the mark, and nobody loads it"))
    }
}
