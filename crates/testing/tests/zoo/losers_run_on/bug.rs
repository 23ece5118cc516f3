//! `select!` over two handles drops that of the loser, and its task runs on.

use super::world::World;
use std::sync::{Arc, atomic::Ordering::Relaxed};

// ANCHOR: program
/// Takes the first answer.
pub async fn program(world: Arc<World>, _: usize) {
    let near = tokio::spawn(world.clone().ask(10));
    let far = tokio::spawn(world.clone().ask(10_000));
    let answer = tokio::select! {
        biased;
        answer = near => answer,
        answer = far => answer,
    };
    world.answer.store(answer.expect("no replica panics"), Relaxed);
}
// ANCHOR_END: program
