//! Breaks `limit`: one part that never ends keeps all the others from ending, and the process from exiting.

use std::time::Duration;
use tokio::{select, task::JoinHandle};
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

pub async fn shutdown(parts: Vec<Part>, _grace: Duration, now: CancellationToken) -> Report {
    let mut report = Report::default();
    let own = |part: Part| (part.name, part.stop, AbortOnDropHandle::new(part.task));
    let mut parts: Vec<_> = parts.into_iter().map(own).collect();
    while let Some((name, stop, mut task)) = parts.pop() {
        stop.cancel();
        let ended = select! {
            ended = &mut task => ended,
            () = now.cancelled() => {
                task.abort();
                task.await
            }
        };
        match ended {
            Ok(()) => report.finished.push(name),
            Err(error) if error.is_panic() => report.panicked.push(name),
            Err(_) => report.aborted.push(name),
        }
    }
    report
}
