//! `join!` polls all four.

use super::world::World;
use std::sync::Arc;

/// Looks up four.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    tokio::join!(world.look_up(0), world.look_up(1), world.look_up(2), world.look_up(3));
    // ANCHOR_END: cure
}
