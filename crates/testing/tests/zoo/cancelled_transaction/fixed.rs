//! A guard rolls back what was not committed.

use super::world::World;
use std::sync::Arc;

struct Transaction<'a>(&'a World);

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.0.roll_back();
    }
}

/// Moves 10 from one account to the other.
pub async fn program(world: Arc<World>, _: usize) {
    world.begin();
    let _transaction = Transaction(&world);
    world.add(0, -10);
    world.check_for_fraud().await;
    world.add(1, 10);
    world.commit();
}
