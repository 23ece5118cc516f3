//! Breaks `stops`: each call is a task whose handle is timed out: the caller goes, the call stays.

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
        let now = Instant::now();
        if now >= over {
            return Err(LoadError::Total);
        }
        match timeout_at(over.min(now + each), tokio::spawn(backend.fetch(id))).await {
            Ok(joined) => replies.push(joined.unwrap().map_err(LoadError::Fetch)?),
            Err(_) if over <= now + each => return Err(LoadError::Total),
            Err(_) => return Err(LoadError::Each { id }),
        }
    }
    Ok(replies)
}
