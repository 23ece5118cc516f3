//! One timeout around all steps.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Shows a page.
pub async fn program(world: Arc<World>, _: usize) {
    let fetch = async { world.connect().await.await.ok() };
    let page = timeout(Duration::from_secs(1), fetch).await.ok().flatten();
    world.show(page.unwrap_or_else(|| String::from("try again later")));
}
