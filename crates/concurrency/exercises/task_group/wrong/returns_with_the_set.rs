//! Breaks `waits`: `?` drops the set, which aborts the siblings, and goes on before they have gone.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::panic::resume_unwind;
use tokio::task::JoinSet;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut replies: Vec<Option<Reply>> = ids.iter().map(|_| None).collect();
    let mut calls = JoinSet::new();
    for (place, id) in ids.into_iter().enumerate() {
        let call = backend.fetch(id);
        calls.spawn(async move { (place, call.await) });
    }
    while let Some(ended) = calls.join_next().await {
        let (place, result) = ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        replies[place] = Some(result.map_err(|error| vec![error])?);
    }
    Ok(replies.into_iter().flatten().collect())
}
