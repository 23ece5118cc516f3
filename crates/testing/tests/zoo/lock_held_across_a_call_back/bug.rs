//! Listeners are called while a lock is held that one of them takes: they wait for each other.

use super::world::World;
use std::sync::Arc;

/// Puts two things into the cart.
pub async fn program(world: Arc<World>, _: usize) {
    let mut cart = world.cart.lock().await;
    cart.push(70);
    cart.push(50);
    world.changed().await;
}
