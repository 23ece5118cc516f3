//! The timeout covers the connection and not the body: a peer that is silent holds the caller for ever.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Shows a page.
pub async fn program(world: Arc<World>, _: usize) {
    let page = match timeout(Duration::from_secs(1), world.connect()).await {
        Ok(body) => body.await.ok(),
        Err(_) => None,
    };
    world.show(page.unwrap_or_else(|| String::from("try again later")));
}
