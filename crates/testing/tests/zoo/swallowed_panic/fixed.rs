//! The mail is a part of the work, and what may be missing is dealt with.

use super::world::World;
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    world.store().await;
    // ANCHOR: cure
    match world.address().await {
        Some(address) => world.mail(address).await,
        None => {
            world.unreachable.fetch_add(1, Relaxed);
        }
    }
    // ANCHOR_END: cure
}
