//! Breaks `first-reply`: `timeout` drops the call that is slow, although it may still be the first to reply.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::timeout;

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let _ = limit;
    let mut errors = Vec::new();
    let last = replicas.len();
    for (place, id) in (1..).zip(replicas) {
        let call = backend.fetch(id);
        let result = if place == last { Ok(call.await) } else { timeout(delay, call).await };
        match result {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => errors.push(error),
            Err(_) => errors.push(FetchError::TimedOut { id }),
        }
    }
    Err(errors)
}
