//! Breaks `prompt`: five seconds are too long for those that end sooner, and too short for the others.

use std::time::Duration;
use tokio::{
    select,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
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
    let over = Instant::now() + grace;
    let mut report = Report::default();
    let own = |part: Part| (part.name, part.stop, AbortOnDropHandle::new(part.task));
    let mut parts: Vec<_> = parts.into_iter().map(own).collect();
    while let Some((name, stop, task)) = parts.pop() {
        stop.cancel();
        select! {
            () = sleep(Duration::from_secs(5)) => {}
            () = sleep_until(over) => {}
            () = now.cancelled() => {}
        }
        task.abort();
        match task.await {
            Ok(()) => report.finished.push(name),
            Err(error) if error.is_panic() => report.panicked.push(name),
            Err(_) => report.aborted.push(name),
        }
    }
    report
}
