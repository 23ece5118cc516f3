//! A loop that takes messages, looks each one up, and stores it, while a ticker ticks.

use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many messages there are.
pub const MESSAGES: usize = 5;

/// The queue, and what was stored.
#[derive(Debug)]
pub struct World {
    /// Closed after the last.
    pub inbox: Mutex<mpsc::Receiver<usize>>,
    /// In the order of their storing.
    pub stored: std::sync::Mutex<Vec<usize>>,
}

/// A fresh one.
///
/// # Panics
/// Never: the queue has room for all.
pub fn world() -> Arc<World> {
    let (send, inbox) = mpsc::channel(MESSAGES);
    for message in 0..MESSAGES {
        send.try_send(message).expect("there is room for all");
    }
    Arc::new(World { inbox: Mutex::new(inbox), stored: std::sync::Mutex::default() })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    // As such tests are: something was stored, and in order.
    let stored = world.stored.lock().map_err(|error| error.to_string())?;
    if !stored.is_empty() && stored.is_sorted() { Ok(()) } else { Err(format!("stored {stored:?}")) }
}

/// What a proof asserts: every message exactly once.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: std::time::Duration) -> Result<(), String> {
    let stored = world.stored.lock().map_err(|error| error.to_string())?;
    if *stored == [0, 1, 2, 3, 4] { Ok(()) } else { Err(format!("of five messages, stored {stored:?}")) }
}

/// What must hold wherever the program is dropped: what is not stored is still in the queue.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    let mut inbox = world.inbox.lock().await;
    let mut all = world.stored.lock().map_err(|error| error.to_string())?.clone();
    while let Ok(message) = inbox.try_recv() {
        all.push(message);
    }
    if all.len() == MESSAGES { Ok(()) } else { Err(format!("only {all:?} are left of five")) }
}
