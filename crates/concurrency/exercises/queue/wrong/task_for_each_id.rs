//! Breaks `bounded`: each id becomes a task at once, which waits for a permit: the capacity bounds nothing.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{StreamExt as _, stream::BoxStream};
use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub async fn queue(
    backend: Backend,
    mut ids: BoxStream<'static, u32>,
    workers: NonZeroUsize,
    capacity: NonZeroUsize,
    stop: CancellationToken,
) -> Vec<(u32, Settled<Reply, FetchError>)> {
    let permits = Arc::new(Semaphore::new(workers.get()));
    let (queue, mut waiting) = mpsc::channel(capacity.get());
    let produce = async move {
        loop {
            let next = async { Some((queue.reserve().await.ok()?, ids.next().await?)) };
            tokio::select! {
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
                Some(id) = waiting.recv() => {
                    let (call, permits) = (backend.fetch(id), permits.clone());
                    let call = async move {
                        let _permit = permits.acquire().await;
                        call.await
                    };
                    places.insert(calls.spawn(call).id(), report.len());
                    report.push((id, Settled::Cancelled));
                }
                else => break report,
            }
        }
    };
    tokio::join!(produce, consume).1
}
