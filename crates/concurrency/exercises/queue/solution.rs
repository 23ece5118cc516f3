//! One loop feeds a bounded channel, one empties it into as many tasks as there are workers; both are one future.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{StreamExt as _, stream::BoxStream};
use std::{collections::HashMap, num::NonZeroUsize};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub async fn queue(
    backend: Backend,
    mut ids: BoxStream<'static, u32>,
    workers: NonZeroUsize,
    capacity: NonZeroUsize,
    stop: CancellationToken,
) -> Vec<(u32, Settled<Reply, FetchError>)> {
    let (queue, mut waiting) = mpsc::channel(capacity.get());
    // It owns the sender: when it ends, the channel ends, once it is empty.
    let produce = async move {
        loop {
            // Room first, and then the id: wherever this is dropped, it has no id in its hand.
            let next = async { Some((queue.reserve().await.ok()?, ids.next().await?)) };
            tokio::select! {
                // `stop` first: a source that is always ready must not win against it.
                biased;
                () = stop.cancelled() => break,
                next = next => match next {
                    Some((place, id)) => place.send(id),
                    None => break,
                },
            }
        }
    };
    let consume = async {
        let mut report = Vec::new();
        // A task for each call, and not for each worker: a panic costs one call, and nobody has to be replaced.
        let mut calls = JoinSet::new();
        let mut places = HashMap::new();
        loop {
            tokio::select! {
                biased;
                Some(joined) = calls.join_next_with_id() => {
                    let (task, outcome) = match joined {
                        Ok((task, Ok(reply))) => (task, Settled::Ok(reply)),
                        Ok((task, Err(error))) => (task, Settled::Failed(error)),
                        Err(error) => (error.id(), Settled::Panicked(Panic::new(error.into_panic()))),
                    };
                    let place: usize = places[&task];
                    let (_, settled) = &mut report[place];
                    *settled = outcome;
                }
                // Received only when there is a worker for it: what waits, waits in the channel, which counts it.
                Some(id) = waiting.recv(), if calls.len() < workers.get() => {
                    places.insert(calls.spawn(backend.fetch(id)).id(), report.len());
                    report.push((id, Settled::Cancelled));
                }
                // Neither a call nor an id is left.
                else => break report,
            }
        }
    };
    tokio::join!(produce, consume).1
}
