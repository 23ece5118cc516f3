//! A connection on which frames of four bytes come in, in two halves each.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    time::sleep,
};

/// How many run at once.
pub const AT_ONCE: usize = 1;
const FRAMES: [&[u8; 4]; 3] = [b"get1", b"get2", b"get3"];

/// What came in.
#[derive(Debug, Default)]
pub struct World {
    frames: Mutex<Vec<[u8; 4]>>,
    beats: AtomicUsize,
}

impl World {
    /// The client's end and the server's.
    pub fn connect(&self) -> (DuplexStream, DuplexStream) {
        duplex(64)
    }

    /// What the client does: each half of a frame takes the network 10 ms. Then it hangs up.
    pub async fn send_frames(&self, mut client: DuplexStream) {
        for half in FRAMES.iter().flat_map(|frame| frame.chunks(2)) {
            if client.write_all(half).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Takes a frame.
    pub fn accept(&self, frame: [u8; 4]) {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }

    /// Says that the server is alive.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }

    fn texts(&self) -> Vec<String> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect()
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: a frame came in, and the server was alive.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (texts, beats) = (world.texts(), world.beats.load(Relaxed));
    if texts.first().is_some_and(|text| text == "get1") && beats > 0 {
        Ok(())
    } else {
        Err(format!("{texts:?} came in, {beats} beats"))
    }
}

/// What a proof asserts: exactly the frames that were sent.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let texts = world.texts();
    if texts == ["get1", "get2", "get3"] { Ok(()) } else { Err(format!("{texts:?} came in")) }
}
