//! Breaks `shutdown`: looks at `stop` before it waits, but an id that comes in the moment of `stop` is still taken.

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
    let produce = async move {
        while !stop.is_cancelled() {
            let next = async { Some((queue.reserve().await.ok()?, ids.next().await?)) };
            tokio::select! {
                biased;
                next = next => match next {
                    Some((place, id)) => place.send(id),
                    None => break,
                },
                () = stop.cancelled() => break,
            }
        }
    };
    let consume = async {
        let mut report = Vec::new();
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
                Some(id) = waiting.recv(), if calls.len() < workers.get() => {
                    places.insert(calls.spawn(backend.fetch(id)).id(), report.len());
                    report.push((id, Settled::Cancelled));
                }
                else => break report,
            }
        }
    };
    tokio::join!(produce, consume).1
}
