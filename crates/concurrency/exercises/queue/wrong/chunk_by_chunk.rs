//! Breaks `concurrent`: takes as many ids as there are workers, and waits for the slowest of them.

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
        let mut chunk = Vec::new();
        while waiting.recv_many(&mut chunk, workers.get()).await > 0 {
            let mut calls = JoinSet::new();
            let mut places = HashMap::new();
            for id in chunk.drain(..) {
                places.insert(calls.spawn(backend.fetch(id)).id(), report.len());
                report.push((id, Settled::Cancelled));
            }
            while let Some(joined) = calls.join_next_with_id().await {
                let (task, outcome) = match joined {
                    Ok((task, Ok(reply))) => (task, Settled::Ok(reply)),
                    Ok((task, Err(error))) => (task, Settled::Failed(error)),
                    Err(error) => (error.id(), Settled::Panicked(Panic::new(error.into_panic()))),
                };
                let place: usize = places[&task];
                let (_, settled) = &mut report[place];
                *settled = outcome;
            }
        }
        report
    };
    tokio::join!(produce, consume).1
}
