//! Breaks `each`: a stuck call eats up the time of all, because nobody limits it by itself.

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
        let asked = Instant::now();
        match timeout_at(over, backend.fetch(id)).await {
            Ok(_) if asked.elapsed() > each => return Err(LoadError::Each { id }),
            Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
            Err(_) => return Err(LoadError::Total),
        }
    }
    Ok(replies)
}
