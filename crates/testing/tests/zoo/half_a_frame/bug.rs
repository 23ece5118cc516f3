//! `read_exact` in an arm of `select!`: when another arm wins, the half of a frame that it had read is lost.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt as _, time::interval};

/// Takes frames of four bytes until the client hangs up.
pub async fn program(world: Arc<World>, _: usize) {
    let (client, mut connection) = world.connect();
    let serve = async {
        let mut heartbeat = interval(Duration::from_millis(25));
        let mut frame = [0; 4];
        loop {
            tokio::select! {
                biased;
                _ = heartbeat.tick() => world.beat(),
                read = connection.read_exact(&mut frame) => match read {
                    Ok(_) => world.accept(frame),
                    Err(_) => return,
                },
            }
        }
    };
    tokio::join!(world.send_frames(client), serve);
}
