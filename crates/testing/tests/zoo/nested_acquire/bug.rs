//! Whoever holds a connection of the pool asks it for a second one: when all do, nobody gets it.

use super::world::World;
use std::sync::Arc;

async fn audit(world: &World, n: usize) {
    let Ok(_connection) = world.pool.acquire().await else { return };
    world.insert(format!("audit of {n}")).await;
}

/// Takes an order.
pub async fn program(world: Arc<World>, n: usize) {
    let Ok(_connection) = world.pool.acquire().await else { return };
    world.insert(format!("order {n}")).await;
    audit(&world, n).await;
}
