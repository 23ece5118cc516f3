//! Two accounts behind one lock, and a fraud check that takes its time.

use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The accounts.
#[derive(Debug)]
pub struct World {
    /// One lock for both: nobody else sees them while it is held.
    pub accounts: Mutex<[i64; 2]>,
}

impl World {
    /// Asks another service. Takes 10 ms.
    pub async fn check_for_fraud(&self) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { accounts: Mutex::new([50, 50]) })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let accounts = world.accounts.try_lock().map_err(|error| error.to_string())?;
    if *accounts == [40, 60] { Ok(()) } else { Err(format!("{accounts:?}, not 40 and 60")) }
}

/// What must hold wherever the program is dropped: no money is lost.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    // It is free: whoever held it was dropped. No poison says that this was half-way.
    let accounts = *world.accounts.lock().await;
    let sum: i64 = accounts.iter().sum();
    if sum == 100 { Ok(()) } else { Err(format!("the next one finds {accounts:?}")) }
}
