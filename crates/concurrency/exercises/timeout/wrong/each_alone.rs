//! Breaks `total`: knows only the limit for one call; with enough calls there is no limit at all.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::time::Instant;

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let start = Instant::now();
    let mut replies = Vec::new();
    for id in ids {
        match tokio::time::timeout(each, backend.fetch(id)).await {
            Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
            Err(_) => return Err(LoadError::Each { id }),
        }
        // Too late: the time is looked at when it is gone.
        if start.elapsed() > total {
            return Err(LoadError::Total);
        }
    }
    Ok(replies)
}
