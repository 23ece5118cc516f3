//! The connection that is held does both.

use super::world::World;
use std::sync::Arc;
use tokio::sync::SemaphorePermit;

async fn audit(world: &World, _connection: &SemaphorePermit<'_>, n: usize) {
    world.insert(format!("audit of {n}")).await;
}

/// Takes an order.
pub async fn program(world: Arc<World>, n: usize) {
    let Ok(connection) = world.pool.acquire().await else { return };
    world.insert(format!("order {n}")).await;
    audit(&world, &connection, n).await;
}
