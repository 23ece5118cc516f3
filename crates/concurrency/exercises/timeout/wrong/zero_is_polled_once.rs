//! Breaks `not-started`: `timeout` with no time left polls its future all the same, and the call is sent.

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
    let over = Instant::now() + total;
    let mut replies = Vec::new();
    for id in ids {
        let left = over.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.min(each), backend.fetch(id)).await {
            Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
            Err(_) if left <= each => return Err(LoadError::Total),
            Err(_) => return Err(LoadError::Each { id }),
        }
    }
    Ok(replies)
}
