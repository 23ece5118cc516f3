//! A service that serves once its cache is warm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The cache, and whether anybody was served.
#[derive(Debug)]
pub struct World {
    /// Whether the cache is warm.
    pub warm: watch::Sender<bool>,
    served: AtomicBool,
    born: Instant,
}

impl World {
    /// Takes 10 ms.
    pub async fn warm_up(&self) {
        sleep(Duration::from_millis(10)).await;
        self.warm.send_replace(true);
    }

    /// Whether it is.
    pub fn is_warm(&self) -> bool {
        // A thread that was given up, and asks for ever, is not to burn the processor for ever.
        while self.born.elapsed() > Duration::from_secs(3) {
            thread::park();
        }
        *self.warm.borrow()
    }

    /// Serves.
    pub fn serve(&self) {
        self.served.store(true, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { warm: watch::Sender::new(false), served: AtomicBool::new(false), born: Instant::now() })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    if world.served.load(Relaxed) { Ok(()) } else { Err(String::from("nobody was served")) }
}
