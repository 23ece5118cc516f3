//! All attempts have the same idempotency key.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Has an order paid.
pub async fn program(world: Arc<World>, _: usize) {
    let key = world.new_key();
    for _ in 0..3 {
        if timeout(Duration::from_secs(1), world.charge(key, 4200)).await.is_ok() {
            world.set_paid();
            return;
        }
    }
}
