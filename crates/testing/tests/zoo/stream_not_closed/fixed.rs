//! The stream owns a cursor that closes itself.

use super::world::{PAGES, World};
use futures_util::{Stream, StreamExt as _, stream};
use std::sync::Arc;

// ANCHOR: cure
async fn pages(world: &World) -> impl Stream<Item = usize> {
    let cursor = world.cursor().await;
    stream::unfold((cursor, 0), async |(cursor, page)| {
        if page == PAGES {
            return None;
        }
        Some((world.read(page).await, (cursor, page + 1)))
    })
}
// ANCHOR_END: cure

/// Looks for page 2.
pub async fn program(world: Arc<World>, _: usize) {
    let found = pages(&world).await.any(async |page| page == 2).await;
    world.answer(found);
}
