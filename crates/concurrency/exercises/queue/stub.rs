//! Fetch what the source gives, through a bounded queue, and shut it down without a loss. Task and rules: `cargo run`, or
//! README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use futures_util::stream::BoxStream;
use std::num::NonZeroUsize;
use tokio_util::sync::CancellationToken;

/// Each id that was taken from the source, with its outcome, in the order of the source.
pub async fn queue(
    backend: Backend,
    ids: BoxStream<'static, u32>,
    workers: NonZeroUsize,
    capacity: NonZeroUsize,
    stop: CancellationToken,
) -> Vec<(u32, Settled<Reply, FetchError>)> {
    drop((ids, stop));
    todo!("fetch ids from {backend:?}, {workers} at a time, while up to {capacity} wait")
}
