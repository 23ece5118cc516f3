//! What the loop did, the futures in the buffer do themselves.

use super::world::{PAGES, World};
use futures_util::{StreamExt as _, stream};
use std::sync::Arc;

/// Fetches and stores all pages, three at a time.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    let pages = stream::iter(0..PAGES).map(|page| {
        let world = world.clone();
        async move { world.store(world.fetch(page).await).await }
    });
    pages.buffer_unordered(3).collect::<()>().await;
    // ANCHOR_END: cure
}
