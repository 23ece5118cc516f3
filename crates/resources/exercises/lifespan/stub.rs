//! The end of a service: its parts stop in reverse, each has its time, and all of it has an end. Task and rules:
//! `cargo run`, or README.md.

use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A part of the service, at work in a task of its own.
pub struct Part {
    pub name: &'static str,
    /// Cancelled, it asks the part to stop: to take nothing new, to end what it has begun, and to return.
    pub stop: CancellationToken,
    /// How long that may take.
    pub limit: Duration,
    pub task: JoinHandle<()>,
}

/// How the parts ended: their names, each list in the order in which they were stopped.
#[derive(Debug, Default)]
pub struct Report {
    pub finished: Vec<&'static str>,
    pub panicked: Vec<&'static str>,
    pub aborted: Vec<&'static str>,
}

/// Stops the parts, which are given in the order in which they were started, within `grace`; at once when `now` is
/// cancelled: that is the second Ctrl-C.
pub async fn shutdown(parts: Vec<Part>, grace: Duration, now: CancellationToken) -> Report {
    todo!("stop {} parts within {grace:?}, or at once after {now:?}", parts.len())
}
