//! From the last to the first: ask, wait as long as there is time, abort, wait for that, and only then the next.

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
    // A `JoinHandle` that is dropped lets its task run on. These abort theirs, wherever this future is dropped.
    let own = |part: Part| (part.name, part.stop, part.limit, AbortOnDropHandle::new(part.task));
    let mut parts: Vec<_> = parts.into_iter().map(own).collect();
    while let Some((name, stop, limit, task)) = parts.last_mut() {
        // Its own limit, and no more than is left for everybody.
        let limit = (*limit).min(grace.saturating_sub(began.elapsed()));
        let mut ended = None;
        if !limit.is_zero() && !now.is_cancelled() {
            stop.cancel();
            ended = select! {
                // By reference: who has not ended by then has to be aborted.
                ended = &mut *task => Some(ended),
                () = now.cancelled() => None,
                () = sleep(limit) => None,
            };
        }
        let ended = match ended {
            Some(ended) => ended,
            None => {
                // That only asks. The task has gone when its handle says so.
                task.abort();
                task.await
            }
        };
        match ended {
            Ok(()) => report.finished.push(*name),
            Err(error) if error.is_panic() => report.panicked.push(*name),
            Err(_) => report.aborted.push(*name),
        }
        parts.pop();
    }
    report
}
