//! Breaks `order`: one token for all of them, more or less: those that are drained have nothing left to work with.

use futures::future::join_all;
use std::time::Duration;
use tokio::{
    select,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub struct Part {
    pub name: &'static str,
    pub stop: CancellationToken,
    pub limit: Duration,
    pub task: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub struct Report {
    pub finished: Vec<&'static str>,
    pub panicked: Vec<&'static str>,
    pub aborted: Vec<&'static str>,
}

pub async fn shutdown(parts: Vec<Part>, grace: Duration, now: CancellationToken) -> Report {
    let stops = parts.into_iter().rev().map(|part| {
        let mut task = AbortOnDropHandle::new(part.task);
        let now = now.clone();
        part.stop.cancel();
        async move {
            let ended = select! {
                ended = timeout(part.limit.min(grace), &mut task) => ended.ok(),
                () = now.cancelled() => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    task.abort();
                    task.await
                }
            };
            (part.name, ended)
        }
    });
    let mut report = Report::default();
    for (name, ended) in join_all(stops).await {
        match ended {
            Ok(()) => report.finished.push(name),
            Err(error) if error.is_panic() => report.panicked.push(name),
            Err(_) => report.aborted.push(name),
        }
    }
    sleep(Duration::ZERO).await;
    report
}
