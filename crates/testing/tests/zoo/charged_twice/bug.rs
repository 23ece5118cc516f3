//! A retry after a timeout repeats a charge that had gone through: only its answer was late.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Has an order paid.
pub async fn program(world: Arc<World>, _: usize) {
    for _ in 0..3 {
        let key = world.new_key();
        if timeout(Duration::from_secs(1), world.charge(key, 4200)).await.is_ok() {
            world.set_paid();
            return;
        }
    }
}
