//! First everything that is awaited, then everything that is changed.

use super::world::World;
use std::sync::Arc;

/// Moves 10 from one account to the other.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    let mut accounts = world.accounts.lock().await;
    world.check_for_fraud().await;
    accounts[0] -= 10;
    accounts[1] += 10;
    // ANCHOR_END: cure
}
