//! An upload that has a temporary file open, and its removal.

use std::{sync::Arc, time::Duration};
use testing::proof::Ledger;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// Who had the file, and until when.
#[derive(Debug, Default)]
pub struct World {
    ledger: Ledger,
}

impl World {
    /// Has the file open, for a minute.
    pub async fn upload(self: Arc<Self>) {
        let open = self.ledger.entry("open file");
        sleep(Duration::from_secs(60)).await;
        open.finish();
    }

    /// Ends when the user has had enough, after 50 ms.
    pub async fn cancelled(&self) {
        sleep(Duration::from_millis(50)).await;
    }

    /// Removes the file, and its folder.
    pub fn remove(&self) {
        self.ledger.entry("removal").finish();
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the file was removed.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let removed = world.ledger.lines().iter().any(|line| line.name == "removal");
    if removed { Ok(()) } else { Err(String::from("the file was not removed")) }
}

/// What a proof asserts: the upload had closed the file before it was removed.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    Ok(world.ledger.check_order(["open file", "removal"])?)
}
