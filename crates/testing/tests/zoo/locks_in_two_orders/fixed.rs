//! Everybody takes them in the same order.

use super::world::World;
use std::sync::Arc;

/// One moves 10 there, the other moves 10 back.
pub async fn program(world: Arc<World>, n: usize) {
    let (from, to) = (n, 1 - n);
    let first = world.accounts[0].lock().await;
    let second = world.accounts[1].lock().await;
    let mut accounts = [first, second];
    *accounts[from] -= 10;
    *accounts[to] += 10;
}
