//! Four futures are made, and awaited one after another: a future does nothing until it is polled.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Looks up four.
pub async fn program(world: Arc<World>, _: usize) {
    let lookups: Vec<_> = (0..4).map(|id| world.look_up(id)).collect();
    for lookup in lookups {
        lookup.await;
    }
}
// ANCHOR_END: program
