//! Breaks `total`: gives every call the whole of `total` again, so three calls may take three times as long.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let mut replies = Vec::new();
    for id in ids {
        let call = tokio::time::timeout(each, backend.fetch(id));
        match tokio::time::timeout(total, call).await {
            Ok(Ok(reply)) => replies.push(reply.map_err(LoadError::Fetch)?),
            Ok(Err(_)) => return Err(LoadError::Each { id }),
            Err(_) => return Err(LoadError::Total),
        }
    }
    Ok(replies)
}
