//! `read` is cancel safe, and what it has read is kept outside of the `select!`.

use super::world::World;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt as _, time::interval};

/// Takes frames of four bytes until the client hangs up.
pub async fn program(world: Arc<World>, _: usize) {
    let (client, mut connection) = world.connect();
    let serve = async {
        let mut heartbeat = interval(Duration::from_millis(25));
        let (mut frame, mut filled) = ([0; 4], 0);
        loop {
            tokio::select! {
                biased;
                _ = heartbeat.tick() => world.beat(),
                read = connection.read(&mut frame[filled..]) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(n) => filled += n,
                },
            }
            if filled == frame.len() {
                world.accept(frame);
                filled = 0;
            }
        }
    };
    tokio::join!(world.send_frames(client), serve);
}
