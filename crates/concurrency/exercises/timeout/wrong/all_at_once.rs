//! Breaks `in-order`: asks for everything at once, though each id depends on the reply before it.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout_at;

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    let over = Instant::now() + total;
    let one_over = Instant::now() + each;
    let calls =
        ids.into_iter().map(async |id| match timeout_at(over.min(one_over), backend.fetch(id)).await {
            Ok(reply) => reply.map_err(LoadError::Fetch),
            Err(_) if over <= one_over => Err(LoadError::Total),
            Err(_) => Err(LoadError::Each { id }),
        });
    try_join_all(calls).await
}
