//! A destructor spawns the clean-up, because it can't await: the program ends before that has run.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
struct Lease(Arc<World>);
impl Drop for Lease {
    fn drop(&mut self) {
        let world = self.0.clone();
        tokio::spawn(async move { world.give_back().await });
    }
}

/// Does the job.
pub async fn program(world: Arc<World>, _: usize) {
    world.lease().await;
    let _lease = Lease(world.clone());
    world.work().await;
}
// ANCHOR_END: program
