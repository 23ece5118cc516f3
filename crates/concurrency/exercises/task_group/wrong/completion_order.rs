//! Breaks `order`: `join_next` gives what ends first, not what was asked for first.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::panic::resume_unwind;
use tokio::task::JoinSet;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut calls: JoinSet<_> = ids.into_iter().map(|id| backend.fetch(id)).collect();
    let (mut replies, mut errors, mut panics) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(ended) = calls.join_next().await {
        match ended {
            Ok(Ok(reply)) => replies.push(reply),
            Ok(Err(error)) => {
                errors.push(error);
                calls.abort_all();
            }
            Err(error) => {
                panics.extend(error.try_into_panic());
                calls.abort_all();
            }
        }
    }
    if let Some(payload) = panics.pop() {
        resume_unwind(payload);
    }
    if errors.is_empty() { Ok(replies) } else { Err(errors) }
}
