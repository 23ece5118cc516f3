//! tokio's channel gives the thread to the others meanwhile.

use super::world::World;
use std::sync::Arc;
use tokio::{sync::oneshot, task::JoinSet};

/// Delivers a page.
pub async fn program(world: Arc<World>, _: usize) {
    let (send, receive) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let renderer = world.clone();
    tasks.spawn(async move {
        // Nobody may be waiting any more.
        send.send(renderer.render().await).ok();
    });
    let page = receive.await.ok();
    *world.delivered.lock().expect("no panic holds it") = page;
    tasks.join_all().await;
}
