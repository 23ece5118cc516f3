//! A journal behind a lock, which a back-up holds for five seconds.

use std::{sync::Arc, time::Duration};
use testing::snooze;
use tokio::{sync::Mutex, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The journal.
#[derive(Debug, Default)]
pub struct World {
    journal: Mutex<Vec<&'static str>>,
}

impl World {
    /// Holds the journal for 5 s.
    pub async fn back_up(&self) {
        let _journal = self.journal.lock().await;
        sleep(Duration::from_secs(5)).await;
    }

    /// Writes a line.
    pub fn write(self: &Arc<Self>, line: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let world = self.clone();
        snooze::watch(format!("write {line}"), async move { world.journal.lock().await.push(line) })
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
    let journal = world.journal.try_lock().map_err(|error| error.to_string())?;
    if journal.contains(&"order 1") { Ok(()) } else { Err(format!("the journal has {journal:?}")) }
}
