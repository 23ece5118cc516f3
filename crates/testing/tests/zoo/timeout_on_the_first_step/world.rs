//! A peer that accepts a connection and never sends anything.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The peer, and what the caller told the user.
#[derive(Debug, Default)]
pub struct World {
    connections: Mutex<Vec<oneshot::Sender<String>>>,
    shown: Mutex<Option<String>>,
}

impl World {
    /// Gives the body that is to come. Takes 10 ms.
    pub async fn connect(&self) -> oneshot::Receiver<String> {
        sleep(Duration::from_millis(10)).await;
        let (connection, body) = oneshot::channel();
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        body
    }

    /// Shows a page.
    pub fn show(&self, page: String) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: a page is shown, be it that there is none.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let shown = world.shown.lock().map_err(|error| error.to_string())?;
    if shown.is_some() { Ok(()) } else { Err(String::from("nothing is shown")) }
}
