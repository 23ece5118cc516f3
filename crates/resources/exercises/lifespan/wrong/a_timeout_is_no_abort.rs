//! Breaks `limit`: the timeout drops the handle, not the task: that runs on, and nobody owns it any more.

use std::time::Duration;
use tokio::{task::JoinHandle, time::timeout};
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

pub async fn shutdown(parts: Vec<Part>, grace: Duration, now: CancellationToken) -> Report {
    let mut report = Report::default();
    let all = async {
        for part in parts.into_iter().rev() {
            part.stop.cancel();
            match timeout(part.limit, part.task).await {
                Ok(Ok(())) => report.finished.push(part.name),
                Ok(Err(_panicked)) => report.panicked.push(part.name),
                Err(_elapsed) => report.aborted.push(part.name),
            }
        }
    };
    timeout(grace, now.run_until_cancelled(all)).await.ok();
    report
}
