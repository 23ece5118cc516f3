//! A registration that stores the hash of a password.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// A table of users.
#[derive(Debug, Default)]
pub struct World {
    stored: AtomicU64,
}

impl World {
    /// A new user's password.
    pub async fn form(&self) -> String {
        sleep(Duration::from_millis(1)).await;
        String::from("correct horse battery staple")
    }

    /// Stores a hash.
    pub async fn store(&self, hash: u64) {
        sleep(Duration::from_millis(1)).await;
        self.stored.store(hash, Relaxed);
    }
}

/// Takes 250 ms: hashes of passwords are set to take their time. On a busy machine it takes longer, because what counts is
/// the work.
#[must_use]
pub fn hash(password: &str) -> u64 {
    let (begun, mut rounds, mut hash) = (Instant::now(), 0, 0xcbf2_9ce4_8422_2325);
    while rounds < 600_000 || begun.elapsed() < Duration::from_millis(250) {
        rounds += 1;
        for byte in password.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
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
    if world.stored.load(Relaxed) == 0 { Err(String::from("no hash is stored")) } else { Ok(()) }
}
