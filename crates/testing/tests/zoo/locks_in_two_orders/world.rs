//! Two accounts, each with its lock.

use std::sync::Arc;
use tokio::sync::Mutex;

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The accounts.
#[derive(Debug)]
pub struct World {
    /// What is on them.
    pub accounts: [Mutex<i64>; 2],
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { accounts: [Mutex::new(50), Mutex::new(50)] })
}

/// What an ordinary test asserts when the program has run: 10 went there, and 10 came back.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    for account in &world.accounts {
        let balance = *account.try_lock().map_err(|error| error.to_string())?;
        if balance != 50 {
            return Err(format!("{balance}, not 50"));
        }
    }
    Ok(())
}
