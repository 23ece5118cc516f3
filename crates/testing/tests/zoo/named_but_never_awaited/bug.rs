//! A future is given a name, as if that began it, and dropped at the end: no lint says a word.

use super::world::World;
use std::sync::Arc;

/// Charges a card, and writes the audit record meanwhile.
pub async fn program(world: Arc<World>, _: usize) {
    let _audit = world.audit(995);
    world.charge(995).await;
}
