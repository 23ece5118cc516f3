//! A destructor only leaves word; somebody else awaits.

use super::world::World;
use std::sync::Arc;

// ANCHOR: cure
struct Lease<'a>(Option<&'a World>);
impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(world) = self.0 {
            world.abandon();
        }
    }
}
// ANCHOR_END: cure

/// Does the job.
pub async fn program(world: Arc<World>, _: usize) {
    world.lease().await;
    let mut lease = Lease(Some(&world));
    world.work().await;
    world.give_back().await;
    lease.0 = None;
}
