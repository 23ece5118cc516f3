//! Each attempt has a fresh timeout: three of them take three times as long as the caller was promised.

use super::world::{PROMISED, World};
use std::sync::Arc;
use tokio::time::timeout;

/// Gets a quote.
pub async fn program(world: Arc<World>, _: usize) {
    for _ in 0..3 {
        if let Ok(Ok(quote)) = timeout(PROMISED, world.quote()).await {
            return world.tell(quote);
        }
    }
    world.tell("no quote");
}
