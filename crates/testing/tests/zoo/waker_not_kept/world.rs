//! A connection that hands a reply to whoever waits for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// What is shared between the connection and the one that waits.
#[derive(Debug, Default)]
pub struct Slot {
    /// The reply, once it is there.
    pub reply: Option<u32>,
    /// Is woken when it is.
    pub waker: Option<Waker>,
}

/// The connection, and what was delivered.
#[derive(Debug, Default)]
pub struct World {
    slot: Mutex<Slot>,
    delivered: Mutex<Vec<u32>>,
}

impl World {
    /// To be held for a moment.
    pub fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the connection does: the reply comes in after 10 ms.
    pub async fn receive(&self) {
        sleep(Duration::from_millis(10)).await;
        let waker = {
            let mut slot = self.slot();
            slot.reply = Some(42);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Passes the reply on.
    pub fn deliver(&self, reply: u32) {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
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
    if *delivered == [42] { Ok(()) } else { Err(format!("delivered {delivered:?}, not 42")) }
}
