//! The clean-up is awaited; who does not come to it leaves it to the lease's own end.

use super::world::World;
use std::sync::Arc;

/// Does the job.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    world.lease().await;
    world.work().await;
    world.give_back().await;
    // ANCHOR_END: cure
}
