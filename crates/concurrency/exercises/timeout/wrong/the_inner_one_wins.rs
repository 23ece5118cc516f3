//! Breaks `whose`: one timeout inside the other: when both pass at once, the inner is asked first.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let over = Instant::now() + total;
    let mut replies = Vec::new();
    for id in ids {
        if Instant::now() >= over {
            return Err(LoadError::Total);
        }
        let call = tokio::time::timeout(each, backend.fetch(id));
        match timeout_at(over, call).await {
            Ok(Ok(reply)) => replies.push(reply.map_err(LoadError::Fetch)?),
            Ok(Err(_)) => return Err(LoadError::Each { id }),
            Err(_) => return Err(LoadError::Total),
        }
    }
    Ok(replies)
}
