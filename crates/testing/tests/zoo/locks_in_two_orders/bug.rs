//! Two locks, taken in one order by some and in the other by others: each has one, and waits for the other's.

use super::world::World;
use std::sync::Arc;

/// One moves 10 there, the other moves 10 back.
pub async fn program(world: Arc<World>, n: usize) {
    let (from, to) = (n, 1 - n);
    let mut source = world.accounts[from].lock().await;
    let mut target = world.accounts[to].lock().await;
    *source -= 10;
    *target += 10;
}
