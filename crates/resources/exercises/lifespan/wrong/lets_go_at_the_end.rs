//! Breaks `grace`: who was not reached when the time was over runs on.

use std::time::Duration;
use tokio::{
    select,
    task::JoinHandle,
    time::{sleep, timeout},
};
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
    let aborts: Vec<_> = parts.iter().map(|part| (part.name, part.task.abort_handle())).collect();
    let all = async {
        for mut part in parts.into_iter().rev() {
            part.stop.cancel();
            let ended = select! {
                ended = &mut part.task => Some(ended),
                () = sleep(part.limit) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    part.task.abort();
                    part.task.await
                }
            };
            match ended {
                Ok(()) => report.finished.push(part.name),
                Err(error) if error.is_panic() => report.panicked.push(part.name),
                Err(_) => report.aborted.push(part.name),
            }
        }
    };
    let ended = select! {
        ended = timeout(grace, all) => ended,
        () = now.cancelled() => {
            for (_, task) in &aborts {
                task.abort();
            }
            sleep(Duration::ZERO).await;
            Ok(())
        }
    };
    if ended.is_err() {
        let known = [&report.finished, &report.panicked, &report.aborted].map(Vec::len).iter().sum();
        report.aborted.extend(aborts.iter().rev().skip(known).map(|(name, _)| name));
    }
    report
}
