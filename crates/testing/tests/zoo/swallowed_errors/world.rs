//! A newsletter to four, of whom one can't be reached.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testing::must::{MustRead, must_read};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many are to get it.
pub const READERS: usize = 4;

/// A mailer.
#[derive(Debug, Default)]
pub struct World {
    /// Who got it, as the report says.
    pub sent: Mutex<Vec<usize>>,
    /// Who is to be tried again, and why.
    pub again: Mutex<Vec<String>>,
}

impl World {
    /// Takes 10 ms.
    pub async fn send(self: Arc<Self>, reader: usize) -> MustRead<usize, String> {
        sleep(Duration::from_millis(10)).await;
        must_read(if reader == 2 { Err(format!("{reader}: mailbox full")) } else { Ok(reader) })
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: there is a report.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let sent = world.sent.lock().map_err(|error| error.to_string())?;
    if sent.contains(&0) { Ok(()) } else { Err(format!("sent to {sent:?}")) }
}

/// What a proof asserts: everybody was sent it, or is to be tried again.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let sent = world.sent.lock().map_err(|error| error.to_string())?;
    let again = world.again.lock().map_err(|error| error.to_string())?;
    if sent.len() + again.len() == READERS {
        Ok(())
    } else {
        Err(format!("sent to {sent:?}, again: {again:?}"))
    }
}
