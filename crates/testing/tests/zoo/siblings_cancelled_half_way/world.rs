//! Two parts, each of which is uploaded and then entered into an index. There is no room for the second.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// A store and its index.
#[derive(Debug, Default)]
pub struct World {
    uploaded: Mutex<BTreeSet<usize>>,
    indexed: Mutex<BTreeSet<usize>>,
    /// How many errors the caller was told.
    pub told: AtomicUsize,
}

impl World {
    /// Takes 10 ms, or 15 ms to fail.
    ///
    /// # Errors
    /// If it is part 1.
    ///
    /// # Panics
    /// Never: no panic holds the store.
    pub async fn upload(&self, part: usize) -> Result<(), String> {
        if part == 1 {
            sleep(Duration::from_millis(15)).await;
            return Err(String::from("no room"));
        }
        sleep(Duration::from_millis(10)).await;
        self.uploaded.lock().expect("no panic holds it").insert(part);
        Ok(())
    }

    /// Takes 10 ms.
    ///
    /// # Panics
    /// Never: no panic holds the index.
    pub async fn index(&self, part: usize) {
        sleep(Duration::from_millis(10)).await;
        self.indexed.lock().expect("no panic holds it").insert(part);
    }

    /// Removes a part that is not in the index.
    ///
    /// # Panics
    /// Never: no panic holds either.
    pub fn tidy(&self, part: usize) {
        if !self.indexed.lock().expect("no panic holds it").contains(&part) {
            self.uploaded.lock().expect("no panic holds it").remove(&part);
        }
    }

    fn agrees(&self) -> Result<(), String> {
        let uploaded = self.uploaded.lock().map_err(|error| error.to_string())?;
        let indexed = self.indexed.lock().map_err(|error| error.to_string())?;
        if *uploaded == *indexed {
            Ok(())
        } else {
            Err(format!("in store {uploaded:?}, in the index {indexed:?}"))
        }
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the caller was told of the error.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let told = world.told.load(Relaxed);
    if told == 1 { Ok(()) } else { Err(format!("told of {told} errors, not 1")) }
}

/// What a proof asserts: store and index agree.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.agrees()
}

/// What must hold wherever the program is dropped: store and index agree.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    world.agrees()
}
