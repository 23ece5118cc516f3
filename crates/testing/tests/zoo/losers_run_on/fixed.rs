//! A `JoinSet` owns both, and ends the loser before it goes on.

use super::world::World;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::task::JoinSet;

/// Takes the first answer.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    let mut replicas = JoinSet::new();
    replicas.spawn(world.clone().ask(10));
    replicas.spawn(world.clone().ask(10_000));
    let first = replicas.join_next().await.expect("two were asked");
    replicas.shutdown().await;
    // ANCHOR_END: cure
    world.answer.store(first.expect("no replica panics"), Relaxed);
}
