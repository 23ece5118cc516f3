//! Breaks `hedges`: asks the next only when one has failed; a replica that is slow holds up everything.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{num::NonZeroUsize, time::Duration};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let _ = (delay, limit);
    let mut errors = Vec::new();
    for id in replicas {
        match backend.fetch(id).await {
            Ok(reply) => return Ok(reply),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}
