//! A guard removes what was not brought to its end, whoever drops it.

use super::world::World;
use std::sync::{Arc, atomic::Ordering::Relaxed};

// ANCHOR: cure
struct Uploaded<'a>(&'a World, usize);
impl Drop for Uploaded<'_> {
    fn drop(&mut self) {
        self.0.tidy(self.1);
    }
}

async fn store(world: &World, part: usize) -> Result<(), String> {
    world.upload(part).await?;
    let _uploaded = Uploaded(world, part);
    world.index(part).await;
    Ok(())
}
// ANCHOR_END: cure

/// Stores both parts.
pub async fn program(world: Arc<World>, _: usize) {
    if tokio::try_join!(store(&world, 0), store(&world, 1)).is_err() {
        world.told.fetch_add(1, Relaxed);
    }
}
