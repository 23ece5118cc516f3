//! Breaks `named`: who had ended long before is called aborted because an abort was tried: it found nobody to abort.

use std::time::Duration;
use tokio::{
    select,
    task::JoinHandle,
    time::{Instant, sleep},
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
    let began = Instant::now();
    let mut report = Report::default();
    let own = |part: Part| (part.name, part.stop, part.limit, AbortOnDropHandle::new(part.task));
    let mut parts: Vec<_> = parts.into_iter().map(own).collect();
    while let Some((name, stop, limit, task)) = parts.last_mut() {
        let limit = (*limit).min(grace.saturating_sub(began.elapsed()));
        let mut ended = None;
        if !limit.is_zero() && !now.is_cancelled() {
            stop.cancel();
            ended = select! {
                ended = &mut *task => Some(ended),
                () = now.cancelled() => None,
                () = sleep(limit) => None,
            };
        }
        match ended {
            Some(Ok(())) => report.finished.push(*name),
            Some(Err(_)) => report.panicked.push(*name),
            None => {
                task.abort();
                match task.await {
                    Err(error) if error.is_panic() => report.panicked.push(*name),
                    _ => report.aborted.push(*name),
                }
            }
        }
        parts.pop();
    }
    report
}
