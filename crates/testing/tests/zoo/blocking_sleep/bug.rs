//! `std::thread::sleep` in an async function: every task of that thread stands still.

use super::world::World;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};
use tokio::task::yield_now;

// ANCHOR: program
/// Waits a moment, and serves.
pub async fn program(world: Arc<World>, _: usize) {
    yield_now().await;
    thread::sleep(Duration::from_millis(250));
    world.served.fetch_add(1, Relaxed);
}
// ANCHOR_END: program
