//! `Delay` keeps the period between ticks.

use super::world::{CALLS, PERIOD, World};
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};

/// Polls a service.
pub async fn program(world: Arc<World>, _: usize) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..CALLS {
        ticks.tick().await;
        world.poll().await;
    }
}
