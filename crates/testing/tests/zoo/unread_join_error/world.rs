//! An import of prices, of which one is none.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// What is to be imported.
pub const ROWS: [&str; 4] = ["120", "95", "n/a", "80"];

/// A table of prices.
#[derive(Debug, Default)]
pub struct World {
    prices: Mutex<Vec<u32>>,
    /// What could not be imported, and why.
    pub rejected: Mutex<Vec<String>>,
}

impl World {
    /// Takes 10 ms.
    ///
    /// # Panics
    /// Never: no panic holds the table.
    pub async fn import(&self, price: u32) {
        sleep(Duration::from_millis(10)).await;
        self.prices.lock().expect("no panic holds it").push(price);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: prices are there.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let prices = world.prices.lock().map_err(|error| error.to_string())?;
    if prices.contains(&120) { Ok(()) } else { Err(format!("imported {prices:?}")) }
}

/// What a proof asserts: each row was imported or rejected.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let prices = world.prices.lock().map_err(|error| error.to_string())?;
    let rejected = world.rejected.lock().map_err(|error| error.to_string())?;
    if prices.len() + rejected.len() == ROWS.len() {
        Ok(())
    } else {
        Err(format!("imported {prices:?}, rejected {rejected:?}"))
    }
}
