//! An audit record that is to be written while a card is charged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::must_await;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// An audit log, and a payment service.
#[derive(Debug, Default)]
pub struct World {
    written: AtomicUsize,
    charged: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub fn audit(&self, cents: usize) -> impl Future<Output = ()> {
        must_await(async move {
            sleep(Duration::from_millis(10)).await;
            self.written.fetch_add(cents, Relaxed);
        })
    }

    /// Takes 10 ms.
    pub fn charge(&self, cents: usize) -> impl Future<Output = ()> {
        must_await(async move {
            sleep(Duration::from_millis(10)).await;
            self.charged.fetch_add(cents, Relaxed);
        })
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the card was charged.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let charged = world.charged.load(Relaxed);
    if charged == 995 { Ok(()) } else { Err(format!("{charged} charged, not 995")) }
}

/// What a proof asserts: what was charged is in the log, and both took the time of one.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, elapsed: Duration) -> Result<(), String> {
    let (written, charged) = (world.written.load(Relaxed), world.charged.load(Relaxed));
    if (written, charged) == (995, 995) && elapsed == Duration::from_millis(10) {
        Ok(())
    } else {
        Err(format!("{written} written, {charged} charged, in {elapsed:?}"))
    }
}
