//! Breaks `order`: reports as calls end, and not as ids came.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{StreamExt as _, stream::BoxStream};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{
    sync::{Mutex, mpsc},
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
    let (queue, waiting) = mpsc::channel(capacity.get());
    let waiting = Arc::new(Mutex::new(waiting));
    let (tell, mut told) = mpsc::channel(workers.get());
    let mut tasks = JoinSet::new();
    for _ in 0..workers.get() {
        let (backend, waiting, tell) = (backend.clone(), waiting.clone(), tell.clone());
        tasks.spawn(async move {
            loop {
                let next = waiting.lock().await.recv().await;
                let Some((place, id)) = next else { return };
                let mut call = JoinSet::from_iter([backend.fetch(id)]);
                let outcome = match call.join_next().await {
                    Some(Ok(Ok(reply))) => Settled::Ok(reply),
                    Some(Ok(Err(error))) => Settled::Failed(error),
                    Some(Err(error)) => Settled::Panicked(Panic::new(error.into_panic())),
                    None => Settled::Cancelled,
                };
                if tell.send((place, id, outcome)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(tell);
    let produce = async move {
        let mut taken: usize = 0;
        loop {
            let next = async { Some((queue.reserve().await.ok()?, ids.next().await?)) };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = next => match next {
                    Some((place, id)) => place.send((taken, id)),
                    None => break,
                },
            }
            taken += 1;
        }
    };
    let collect = async {
        let mut report = Vec::new();
        while let Some(outcome) = told.recv().await {
            report.push(outcome);
        }
        report
    };
    let report = tokio::join!(produce, collect).1;
    report.into_iter().map(|(_, id, outcome)| (id, outcome)).collect()
}
