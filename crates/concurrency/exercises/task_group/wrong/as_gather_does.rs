//! Breaks `waits`: as `asyncio.gather` does, gives the first error while the other tasks run on.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::future::try_join_all;
use std::panic::resume_unwind;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    try_join_all(ids.into_iter().map(|id| {
        let call = tokio::spawn(backend.fetch(id));
        async move { call.await.unwrap_or_else(|error| resume_unwind(error.into_panic())) }
    }))
    .await
    .map_err(|error| vec![error])
}
