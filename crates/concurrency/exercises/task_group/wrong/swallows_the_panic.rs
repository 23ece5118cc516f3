//! Breaks `panic`: takes every `JoinError` for a cancelled task, so a bug looks like a short list.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use tokio::task::JoinSet;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut replies: Vec<Option<Reply>> = ids.iter().map(|_| None).collect();
    let mut calls = JoinSet::new();
    for (place, id) in ids.into_iter().enumerate() {
        let call = backend.fetch(id);
        calls.spawn(async move { (place, call.await) });
    }
    let mut errors = Vec::new();
    while let Some(ended) = calls.join_next().await {
        let Ok((place, result)) = ended else { continue };
        match result {
            Ok(reply) => replies[place] = Some(reply),
            Err(error) => {
                errors.push(error);
                calls.abort_all();
            }
        }
    }
    if errors.is_empty() { Ok(replies.into_iter().flatten().collect()) } else { Err(errors) }
}
