//! A destructor runs async clean-up with `block_on`, which panics within a runtime: seen only when cancelled.

use super::world::World;
use std::sync::Arc;
use tokio::runtime::Handle;

// ANCHOR: program
struct Lease<'a>(Option<&'a World>);
impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(world) = self.0 {
            Handle::current().block_on(world.give_back());
        }
    }
}

/// Does the job.
pub async fn program(world: Arc<World>, _: usize) {
    world.lease().await;
    let mut lease = Lease(Some(&world));
    world.work().await;
    world.give_back().await;
    lease.0 = None;
}
// ANCHOR_END: program
