//! The message is looked at first, and taken when nothing can come in between.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::{
    pin,
    time::{interval, sleep},
};

/// Stores every message.
pub async fn program(world: Arc<World>, _: usize) {
    let mut inbox = world.inbox.lock().await;
    let mut ticks = interval(Duration::from_millis(15));
    // ANCHOR: cure
    while !inbox.is_empty() {
        let lookup = sleep(Duration::from_millis(10));
        pin!(lookup);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                () = &mut lookup => break,
            }
        }
        if let Ok(message) = inbox.try_recv() {
            world.stored.lock().expect("no panic holds it").push(message);
        }
    }
    // ANCHOR_END: cure
}
