//! A job that is done under a lease. A lease that nobody gives back runs out after half a minute.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// A table of leases, with one line.
#[derive(Debug, Default)]
pub struct World {
    until: Mutex<Option<Instant>>,
    done: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    ///
    /// # Panics
    /// Never: no panic holds the table.
    pub async fn lease(&self) {
        sleep(Duration::from_millis(10)).await;
        *self.until.lock().expect("no panic holds it") = Some(Instant::now() + Duration::from_secs(30));
    }

    /// Takes 10 ms.
    ///
    /// # Panics
    /// Never: no panic holds the table.
    pub async fn give_back(&self) {
        sleep(Duration::from_millis(10)).await;
        *self.until.lock().expect("no panic holds it") = None;
    }

    /// Takes 10 ms.
    pub async fn work(&self) {
        sleep(Duration::from_millis(10)).await;
        self.done.fetch_add(1, Relaxed);
    }

    fn free(&self) -> Result<(), String> {
        let until = *self.until.lock().map_err(|error| error.to_string())?;
        match until.and_then(|until| until.checked_duration_since(Instant::now())) {
            None => Ok(()),
            Some(left) => Err(format!("leased for another {left:?}")),
        }
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the job is done.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let done = world.done.load(Relaxed);
    if done == 1 { Ok(()) } else { Err(format!("{done} done, not 1")) }
}

/// What a proof asserts: the lease was given back.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.free()
}

/// What must hold wherever the program is dropped: after a minute, the lease is free.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    world.free()
}
