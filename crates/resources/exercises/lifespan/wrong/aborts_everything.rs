//! Breaks `drains`: an abort drops what is in flight; it is what is left when there is no more time to ask.

use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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

pub async fn shutdown(parts: Vec<Part>, _grace: Duration, _now: CancellationToken) -> Report {
    let mut report = Report::default();
    for part in &parts {
        part.task.abort();
    }
    for part in parts.into_iter().rev() {
        match part.task.await {
            Ok(()) => report.finished.push(part.name),
            Err(error) if error.is_panic() => report.panicked.push(part.name),
            Err(_) => report.aborted.push(part.name),
        }
    }
    report
}
