//! Breaks `stops`: what is dropped at the limit is the handle; the task runs on and asks for the rest.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let task = tokio::spawn(async move {
        let mut replies = Vec::new();
        for id in ids {
            match tokio::time::timeout(each, backend.fetch(id)).await {
                Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
                Err(_) => return Err(LoadError::Each { id }),
            }
        }
        Ok(replies)
    });
    match tokio::time::timeout(total, task).await {
        Ok(joined) => joined.unwrap_or(Err(LoadError::Total)),
        Err(_) => Err(LoadError::Total),
    }
}
