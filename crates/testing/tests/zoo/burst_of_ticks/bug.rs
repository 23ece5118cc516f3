//! After a long pause an `interval` makes up for the ticks that it missed: calls follow each other at once.

use super::world::{CALLS, PERIOD, World};
use std::sync::Arc;
use tokio::time::interval;

/// Polls a service.
pub async fn program(world: Arc<World>, _: usize) {
    let mut ticks = interval(PERIOD);
    for _ in 0..CALLS {
        ticks.tick().await;
        world.poll().await;
    }
}
