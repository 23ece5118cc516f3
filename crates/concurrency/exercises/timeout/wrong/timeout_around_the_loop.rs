//! Breaks `not-started`: the loop goes on to the next call in the moment in which the last reply uses up the time.

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
    let all = async {
        let mut replies = Vec::new();
        for id in ids {
            let asked = Instant::now();
            match tokio::time::timeout(each, backend.fetch(id)).await {
                Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
                Err(_) if asked + each >= start + total => return Err(LoadError::Total),
                Err(_) => return Err(LoadError::Each { id }),
            }
        }
        Ok(replies)
    };
    tokio::time::timeout(total, all).await.unwrap_or(Err(LoadError::Total))
}
