//! An order that is saved, and confirmed.

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

/// A table of orders, and a mailer.
#[derive(Debug, Default)]
pub struct World {
    saved: AtomicUsize,
    confirmed: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub fn save(&self, order: usize) -> impl Future<Output = ()> {
        must_await(async move {
            sleep(Duration::from_millis(10)).await;
            self.saved.fetch_add(order, Relaxed);
        })
    }

    /// Takes 10 ms.
    pub async fn confirm(&self, order: usize) {
        sleep(Duration::from_millis(10)).await;
        self.confirmed.fetch_add(order, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the customer has mail.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let confirmed = world.confirmed.load(Relaxed);
    if confirmed == 1 { Ok(()) } else { Err(format!("{confirmed} confirmed, not 1")) }
}

/// What a proof asserts: what was confirmed is saved.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let (saved, confirmed) = (world.saved.load(Relaxed), world.confirmed.load(Relaxed));
    if (saved, confirmed) == (1, 1) { Ok(()) } else { Err(format!("{saved} saved, {confirmed} confirmed")) }
}
