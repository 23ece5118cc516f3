//! The first sender is kept while its clones are done: the channel stays open, and the consumer never ends.

use super::world::{SENSORS, World};
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinSet};

// ANCHOR: program
/// Stores a reading of each sensor.
pub async fn program(world: Arc<World>, _: usize) {
    let (send, mut readings) = mpsc::channel(8);
    let mut sensors = JoinSet::new();
    for sensor in 0..SENSORS {
        let (world, send) = (world.clone(), send.clone());
        sensors.spawn(async move { send.send(world.read(sensor).await).await });
    }
    while let Some(reading) = readings.recv().await {
        world.store(reading);
    }
}
// ANCHOR_END: program
