//! Breaks `total`: a new `sleep(total)` on every turn of the loop: the clock starts again with each call.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::time::sleep;

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let mut replies = Vec::new();
    for id in ids {
        tokio::select! {
            biased;
            reply = backend.fetch(id) => replies.push(reply.map_err(LoadError::Fetch)?),
            () = sleep(total) => return Err(LoadError::Total),
            () = sleep(each) => return Err(LoadError::Each { id }),
        }
    }
    Ok(replies)
}
