//! `try_join!` drops the others when one fails: a part is uploaded, and will never be in the index.

use super::world::World;
use std::sync::{Arc, atomic::Ordering::Relaxed};

// ANCHOR: program
async fn store(world: &World, part: usize) -> Result<(), String> {
    world.upload(part).await?;
    world.index(part).await;
    Ok(())
}

/// Stores both parts.
pub async fn program(world: Arc<World>, _: usize) {
    if tokio::try_join!(store(&world, 0), store(&world, 1)).is_err() {
        world.told.fetch_add(1, Relaxed);
    }
}
// ANCHOR_END: program
