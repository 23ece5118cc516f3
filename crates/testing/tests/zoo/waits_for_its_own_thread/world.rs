//! A page that a task renders.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// A renderer.
#[derive(Debug, Default)]
pub struct World {
    /// What was delivered.
    pub delivered: Mutex<Option<String>>,
}

impl World {
    /// Takes 10 ms.
    pub async fn render(&self) -> String {
        sleep(Duration::from_millis(10)).await;
        String::from("<p>")
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
    let delivered = world.delivered.lock().map_err(|error| error.to_string())?;
    if delivered.as_deref() == Some("<p>") { Ok(()) } else { Err(format!("delivered: {delivered:?}")) }
}
