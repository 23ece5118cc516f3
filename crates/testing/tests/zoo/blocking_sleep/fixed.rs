//! tokio's sleep gives way to the others.

use super::world::World;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{task::yield_now, time::sleep};

/// Waits a moment, and serves.
pub async fn program(world: Arc<World>, _: usize) {
    yield_now().await;
    // ANCHOR: cure
    sleep(Duration::from_millis(250)).await;
    // ANCHOR_END: cure
    world.served.fetch_add(1, Relaxed);
}
