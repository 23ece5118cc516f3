//! A guard clears the mark, whatever the way out.

use super::world::World;
use std::sync::Arc;

struct Mark<'a>(&'a World);

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.0.clear(7);
    }
}

/// Loads page 7, unless somebody else does.
pub async fn program(world: Arc<World>, _: usize) {
    if !world.mark(7) {
        return;
    }
    let _mark = Mark(&world);
    let text = world.fetch(7).await;
    world.put(7, text);
}
