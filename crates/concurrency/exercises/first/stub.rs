//! Ask one replica after another until there is a reply. Task and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{num::NonZeroUsize, time::Duration};

/// The first reply; or the errors of all replicas, in their order.
pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    todo!("ask {replicas:?} of {backend:?}, the next after {delay:?}, {limit} at a time")
}
