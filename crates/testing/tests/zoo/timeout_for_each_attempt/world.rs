//! A service that is overloaded: it refuses after 600 ms.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// In which time the caller was promised an answer.
pub const PROMISED: Duration = Duration::from_secs(1);

/// The service, and what the caller was told.
#[derive(Debug, Default)]
pub struct World {
    calls: AtomicUsize,
    told: Mutex<Option<&'static str>>,
}

impl World {
    /// Is refused after 600 ms.
    ///
    /// # Errors
    /// Always.
    pub async fn quote(&self) -> Result<&'static str, &'static str> {
        self.calls.fetch_add(1, Relaxed);
        sleep(Duration::from_millis(600)).await;
        Err("503")
    }

    /// Answers the caller.
    pub fn tell(&self, answer: &'static str) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: it tried again, and told the caller.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let calls = world.calls.load(Relaxed);
    let told = world.told.lock().map_err(|error| error.to_string())?;
    if calls > 1 && *told == Some("no quote") { Ok(()) } else { Err(format!("{calls} calls, {told:?}")) }
}

/// What a proof asserts: when the promised time is over, and not later, the caller knows.
///
/// # Errors
/// What is not as it should be.
pub fn proof(_: &World, elapsed: Duration) -> Result<(), String> {
    if elapsed == PROMISED { Ok(()) } else { Err(format!("it took {elapsed:?}, not {PROMISED:?}")) }
}
