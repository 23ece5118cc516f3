//! What has only a blocking form is called on a thread for blocking calls.

use super::world::World;
use std::{io::Read as _, net::TcpStream, sync::Arc};
use tokio::task::spawn_blocking;

/// Asks a peer.
pub async fn program(world: Arc<World>, _: usize) {
    let peer = world.discover().await;
    let asked = spawn_blocking(move || {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(peer)?;
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    });
    let answer = asked.await.expect("it does not panic").expect("the peer answers");
    world.answers.lock().expect("no panic holds it").push(answer);
}
