//! The good results of a fan-out are picked with `.ok()`, and the errors go unread.

use super::world::{READERS, World};
use std::sync::Arc;
use tokio::task::JoinSet;

// ANCHOR: program
/// Sends it to all.
pub async fn program(world: Arc<World>, _: usize) {
    let mut sends = JoinSet::new();
    for reader in 0..READERS {
        sends.spawn(world.clone().send(reader));
    }
    let outcomes = sends.join_all().await;
    let sent = outcomes.into_iter().filter_map(|outcome| outcome.ok()).collect();
    *world.sent.lock().expect("no panic holds it") = sent;
}
// ANCHOR_END: program
