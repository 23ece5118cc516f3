//! A future that wakes itself in each poll until its time has come: a busy loop in disguise.

use super::world::World;
use std::{future::poll_fn, sync::Arc, task::Poll};

fn until_due(world: &World) -> impl Future<Output = ()> {
    poll_fn(|cx| {
        if world.is_due() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// One collects, the other writes when it is due.
pub async fn program(world: Arc<World>, n: usize) {
    if n == 0 {
        return world.collect().await;
    }
    until_due(&world).await;
    world.write();
}
