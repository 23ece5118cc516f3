//! Breaks `stops`: tasks without an owner work on when the caller has lost interest.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{StreamExt as _, stream::BoxStream};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::sync::{Mutex, mpsc};
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
    for _ in 0..workers.get() {
        let (backend, waiting, tell) = (backend.clone(), waiting.clone(), tell.clone());
        tokio::spawn(async move {
            loop {
                let next = waiting.lock().await.recv().await;
                let Some((place, id)) = next else { return };
                let outcome = match tokio::spawn(backend.fetch(id)).await {
                    Ok(Ok(reply)) => Settled::Ok(reply),
                    Ok(Err(error)) => Settled::Failed(error),
                    Err(error) => Settled::Panicked(Panic::new(error.into_panic())),
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
    let mut report = tokio::join!(produce, collect).1;
    report.sort_unstable_by_key(|(place, ..)| *place);
    report.into_iter().map(|(_, id, outcome)| (id, outcome)).collect()
}
