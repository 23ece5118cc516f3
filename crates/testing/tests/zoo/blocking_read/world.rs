//! A service that takes its time, on loopback.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// What was answered.
#[derive(Debug, Default)]
pub struct World {
    /// In the order of their coming.
    pub answers: Mutex<Vec<String>>,
}

impl World {
    /// The address of a peer that answers one call after 250 ms.
    ///
    /// # Panics
    /// If there is no loopback.
    pub async fn discover(&self) -> SocketAddr {
        sleep(Duration::from_millis(1)).await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            let (mut caller, _) = listener.accept().expect("a caller");
            thread::sleep(Duration::from_millis(250));
            // The caller may have been given up.
            caller.write_all(b"pong").ok();
        });
        address
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
    let answers = world.answers.lock().map_err(|error| error.to_string())?;
    if *answers == ["pong"] { Ok(()) } else { Err(format!("answered: {answers:?}")) }
}
