//! It waits when as many as the limit are in flight.

use super::world::{CALLS, LIMIT, World};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Makes all calls, three at a time.
pub async fn program(world: Arc<World>, _: usize) {
    let mut calls = JoinSet::new();
    for n in 0..CALLS {
        while calls.len() >= LIMIT {
            calls.join_next().await;
        }
        calls.spawn(world.call(n));
    }
    calls.join_all().await;
}
