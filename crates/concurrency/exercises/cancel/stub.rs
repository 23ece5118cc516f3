//! A transfer that stops at once, or finishes, and cleans up in any case. Task and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub const LOCK: u32 = 1;
pub const QUOTE: u32 = 2;
pub const DEBIT: u32 = 3;
pub const CREDIT: u32 = 4;
pub const UNLOCK: u32 = 9;

/// How long `UNLOCK` may take.
pub const BOUND: Duration = Duration::from_millis(50);

/// How it ended.
pub type End = Settled<Reply, FetchError>;

/// How the transfer ended, and how `UNLOCK` did.
pub async fn transfer(backend: Backend, stop: CancellationToken, tasks: TaskTracker) -> (End, End) {
    todo!("transfer with {backend:?} until {stop:?}, and finish in {tasks:?}")
}
