//! An await in the loop over a `buffered` stream: meanwhile nobody polls what is in the buffer.

use super::world::{PAGES, World};
use futures_util::{StreamExt as _, stream};
use std::sync::Arc;

// ANCHOR: program
/// Fetches and stores all pages, three at a time.
pub async fn program(world: Arc<World>, _: usize) {
    let mut pages = stream::iter(0..PAGES).map(|page| world.fetch(page)).buffered(3);
    while let Some(page) = pages.next().await {
        world.store(page).await;
    }
}
// ANCHOR_END: program
