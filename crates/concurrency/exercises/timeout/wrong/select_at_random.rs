//! Breaks `in-time`: `select!` without `biased` asks in any order, and now and then throws away a reply that is there.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

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
        tokio::select! {
            reply = backend.fetch(id) => replies.push(reply.map_err(LoadError::Fetch)?),
            () = sleep_until(over.min(now + each)) => {
                return Err(if over <= now + each { LoadError::Total } else { LoadError::Each { id } });
            }
        }
    }
    Ok(replies)
}
