//! Breaks `concurrent`: a queue with one consumer that awaits each call.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{StreamExt as _, stream::BoxStream};
use std::num::NonZeroUsize;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub async fn queue(
    backend: Backend,
    mut ids: BoxStream<'static, u32>,
    workers: NonZeroUsize,
    capacity: NonZeroUsize,
    stop: CancellationToken,
) -> Vec<(u32, Settled<Reply, FetchError>)> {
    let _ = workers;
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
        while let Some(id) = waiting.recv().await {
            let mut call = JoinSet::from_iter([backend.fetch(id)]);
            let outcome = match call.join_next().await {
                Some(Ok(Ok(reply))) => Settled::Ok(reply),
                Some(Ok(Err(error))) => Settled::Failed(error),
                Some(Err(error)) => Settled::Panicked(Panic::new(error.into_panic())),
                None => Settled::Cancelled,
            };
            report.push((id, outcome));
        }
        report
    };
    tokio::join!(produce, consume).1
}
