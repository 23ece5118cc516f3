//! A cart that tells its listeners when it has changed.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::sync::Mutex;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The cart, and the total that is shown.
#[derive(Debug, Default)]
pub struct World {
    /// The prices.
    pub cart: Mutex<Vec<u32>>,
    shown: AtomicU32,
}

impl World {
    /// Calls the listeners. The only one there is adds up what is in the cart.
    pub async fn changed(&self) {
        let total = self.cart.lock().await.iter().sum();
        self.shown.store(total, Relaxed);
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
    let shown = world.shown.load(Relaxed);
    if shown == 120 { Ok(()) } else { Err(format!("{shown} is shown, not 120")) }
}
