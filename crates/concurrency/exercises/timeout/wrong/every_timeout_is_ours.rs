//! Breaks `passes-through`: takes the backend's own timeout for the limit, as `except TimeoutError` does.

use super::check::LoadError;
use common::backend::FetchError;
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
        let late = if left <= each { LoadError::Total } else { LoadError::Each { id } };
        match tokio::time::timeout(left.min(each), backend.fetch(id)).await {
            Ok(Ok(reply)) => replies.push(reply),
            Ok(Err(FetchError::TimedOut { .. })) | Err(_) => return Err(late),
            Ok(Err(error)) => return Err(LoadError::Fetch(error)),
        }
    }
    Ok(replies)
}
