//! A bounded channel makes the producer wait.

use super::world::{CAPACITY, EVENTS, World};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Stores all events.
pub async fn program(world: Arc<World>, _: usize) {
    let (queue, mut events) = mpsc::channel(CAPACITY);
    let receive = async {
        for n in 0..EVENTS {
            if queue.send(world.receive(n).await).await.is_err() {
                break;
            }
        }
        drop(queue);
    };
    let store = async {
        while let Some(event) = events.recv().await {
            world.store(event).await;
        }
    };
    tokio::join!(receive, store);
}
