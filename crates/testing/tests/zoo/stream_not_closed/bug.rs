//! A stream cleans up after its last item: when the consumer breaks off early, the cursor stays open.

use super::world::{PAGES, World};
use futures_util::{Stream, StreamExt as _, stream};
use std::sync::Arc;

// ANCHOR: program
async fn pages(world: &World) -> impl Stream<Item = usize> {
    world.open().await;
    stream::unfold(0, async |page| {
        if page == PAGES {
            world.close();
            return None;
        }
        Some((world.read(page).await, page + 1))
    })
}

/// Looks for page 2.
pub async fn program(world: Arc<World>, _: usize) {
    let found = pages(&world).await.any(async |page| page == 2).await;
    world.answer(found);
}
// ANCHOR_END: program
