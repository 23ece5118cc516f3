//! Whoever says `Pending` has kept the waker.

use super::world::World;
use std::{future::poll_fn, sync::Arc, task::Poll};

fn reply(world: &World) -> impl Future<Output = u32> {
    poll_fn(|cx| {
        let mut slot = world.slot();
        slot.waker = Some(cx.waker().clone());
        slot.reply.take().map_or(Poll::Pending, Poll::Ready)
    })
}

/// One receives, the other delivers.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.receive().await;
    }
    world.deliver(reply(&world).await);
}
