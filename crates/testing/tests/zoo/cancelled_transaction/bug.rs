//! An await between begin and commit: dropped there, the next commit takes half a change with it.

use super::world::World;
use std::sync::Arc;

/// Moves 10 from one account to the other.
pub async fn program(world: Arc<World>, _: usize) {
    world.begin();
    world.add(0, -10);
    world.check_for_fraud().await;
    world.add(1, 10);
    world.commit();
}
