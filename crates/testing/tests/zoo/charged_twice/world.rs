//! A payment service that books at once, and whose first answer comes late.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::must_await;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The service's books, and the shop's.
#[derive(Debug, Default)]
pub struct World {
    booked: Mutex<HashMap<u64, u64>>,
    keys: AtomicU64,
    calls: AtomicU64,
    paid: AtomicBool,
}

impl World {
    /// A key that no charge has had.
    pub fn new_key(&self) -> u64 {
        self.keys.fetch_add(1, Relaxed)
    }

    /// Charges a card; a key that is known is not charged again. The first answer takes 2 s, later ones 10 ms.
    pub fn charge(&self, key: u64, cents: u64) -> impl Future<Output = ()> {
        must_await(async move {
            self.booked.lock().unwrap_or_else(PoisonError::into_inner).insert(key, cents);
            let first = self.calls.fetch_add(1, Relaxed) == 0;
            sleep(Duration::from_millis(if first { 2000 } else { 10 })).await;
        })
    }

    /// The order is paid.
    pub fn set_paid(&self) {
        self.paid.store(true, Relaxed);
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
    if world.paid.load(Relaxed) { Ok(()) } else { Err(String::from("the order is not paid")) }
}

/// What a proof asserts: the customer has paid exactly once.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let cents: u64 = world.booked.lock().map_err(|error| error.to_string())?.values().sum();
    if cents == 4200 { Ok(()) } else { Err(format!("charged {cents} cents, not 4200")) }
}
