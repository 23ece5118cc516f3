//! Breaks `whose`: the nearer of two limits, but `Elapsed` has no name, and so it is always called the total.

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
        if left.is_zero() {
            return Err(LoadError::Total);
        }
        let reply = tokio::time::timeout(left.min(each), backend.fetch(id)).await;
        replies.push(reply.map_err(|_| LoadError::Total)?.map_err(LoadError::Fetch)?);
    }
    Ok(replies)
}
