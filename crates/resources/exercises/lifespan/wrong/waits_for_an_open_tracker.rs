//! Breaks `ends`: `TaskTracker::wait` waits until the tracker is empty *and closed*, and nobody closes it.

use std::time::Duration;
use tokio::{select, task::JoinHandle, time::sleep};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

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

pub async fn shutdown(parts: Vec<Part>, _grace: Duration, now: CancellationToken) -> Report {
    let mut report = Report::default();
    let own = |part: Part| (part.name, part.stop, part.limit, AbortOnDropHandle::new(part.task));
    let mut parts: Vec<_> = parts.into_iter().map(own).collect();
    let tracker = TaskTracker::new();
    while let Some((name, stop, limit, mut task)) = parts.pop() {
        stop.cancel();
        let now = now.clone();
        let ended = tracker.track_future(async move {
            select! {
                ended = &mut task => return ended,
                () = now.cancelled() => {}
                () = sleep(limit) => {}
            }
            task.abort();
            task.await
        });
        match ended.await {
            Ok(()) => report.finished.push(name),
            Err(error) if error.is_panic() => report.panicked.push(name),
            Err(_) => report.aborted.push(name),
        }
    }
    tracker.wait().await;
    report
}
