//! Breaks `waits`: waits for aborted siblings after an error, but not when one of them panics.

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
    let mut errors = Vec::new();
    while let Some(ended) = calls.join_next().await {
        match ended {
            Ok((place, Ok(reply))) => replies[place] = Some(reply),
            Ok((_, Err(error))) => {
                errors.push(error);
                calls.abort_all();
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok(replies.into_iter().flatten().collect()) } else { Err(errors) }
}
