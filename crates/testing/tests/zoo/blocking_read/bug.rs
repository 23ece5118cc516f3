//! A read of a `std::net::TcpStream` in an async function: until the peer answers, the thread stands still.

use super::world::World;
use std::{io::Read as _, net::TcpStream, sync::Arc};

/// Asks a peer.
pub async fn program(world: Arc<World>, _: usize) {
    let peer = world.discover().await;
    let mut answer = String::new();
    let mut stream = TcpStream::connect(peer).expect("the peer listens");
    stream.read_to_string(&mut answer).expect("the peer answers");
    world.answers.lock().expect("no panic holds it").push(answer);
}
