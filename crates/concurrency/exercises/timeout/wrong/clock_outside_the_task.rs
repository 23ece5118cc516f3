//! Breaks `in-time`: the clock fires between the wake-up and the last poll of the task, and a reply that is due is lost.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::task::JoinSet;
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
        let mut task = JoinSet::new();
        task.spawn(backend.fetch(id));
        match timeout_at(over.min(now + each), task.join_next()).await {
            Ok(joined) => replies.push(joined.unwrap().unwrap().map_err(LoadError::Fetch)?),
            // Aborted and waited for: this much is right, and nothing runs on.
            Err(_) => {
                task.shutdown().await;
                return Err(if over <= now + each { LoadError::Total } else { LoadError::Each { id } });
            }
        }
    }
    Ok(replies)
}
