//! Ask the backend for every id, `limit` at a time, and say of each how it ended. Task and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use std::num::NonZeroUsize;

/// One outcome an id, in the order of `ids`.
pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    todo!("fetch {ids:?} from {backend:?}, {limit} at a time")
}
