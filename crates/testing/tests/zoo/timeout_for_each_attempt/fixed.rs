//! One timeout around all attempts.

use super::world::{PROMISED, World};
use std::sync::Arc;
use tokio::time::timeout;

/// Gets a quote.
pub async fn program(world: Arc<World>, _: usize) {
    let attempts = async {
        for _ in 0..3 {
            if let Ok(quote) = world.quote().await {
                return Some(quote);
            }
        }
        None
    };
    let quote = timeout(PROMISED, attempts).await.ok().flatten();
    world.tell(quote.unwrap_or("no quote"));
}
