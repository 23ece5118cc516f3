//! Two awaits in an arm of `select!`: when another arm wins in between, the message that was taken is dropped.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::time::{interval, sleep};

// ANCHOR: program
/// Stores every message.
pub async fn program(world: Arc<World>, _: usize) {
    let mut inbox = world.inbox.lock().await;
    let mut ticks = interval(Duration::from_millis(15));
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            message = async {
                let message = inbox.recv().await;
                sleep(Duration::from_millis(10)).await; // looks it up
                message
            } => {
                let Some(message) = message else { return };
                world.stored.lock().expect("no panic holds it").push(message);
            }
        }
    }
}
// ANCHOR_END: program
