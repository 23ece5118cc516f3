//! `let _ = ..acquire().await` gives the permit back in the same line; `_` binds nothing.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Calls the service.
pub async fn program(world: Arc<World>, caller: usize) {
    let _ = world.permits.acquire().await;
    world.call(caller).await;
}
// ANCHOR_END: program
