//! The first sender is dropped when its clones are made.

use super::world::{SENSORS, World};
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinSet};

/// Stores a reading of each sensor.
pub async fn program(world: Arc<World>, _: usize) {
    let (send, mut readings) = mpsc::channel(8);
    let mut sensors = JoinSet::new();
    for sensor in 0..SENSORS {
        let (world, send) = (world.clone(), send.clone());
        sensors.spawn(async move { send.send(world.read(sensor).await).await });
    }
    // ANCHOR: cure
    drop(send);
    // ANCHOR_END: cure
    while let Some(reading) = readings.recv().await {
        world.store(reading);
    }
}
