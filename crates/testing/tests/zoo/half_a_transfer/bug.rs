//! An await between debit and credit, under a lock: dropped there, it unlocks, and the next one finds half a transfer.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Moves 10 from one account to the other.
pub async fn program(world: Arc<World>, _: usize) {
    let mut accounts = world.accounts.lock().await;
    accounts[0] -= 10;
    world.check_for_fraud().await;
    accounts[1] += 10;
}
// ANCHOR_END: program
