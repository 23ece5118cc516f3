//! Breaks `panic`: looks at the errors first, and a panic of the same moment is never heard of.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::panic::resume_unwind;
use tokio::task::JoinSet;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut replies: Vec<Option<Reply>> = ids.iter().map(|_| None).collect();
    // Dropped with this function's future, the set aborts what is in it.
    let mut calls = JoinSet::new();
    for (place, id) in ids.into_iter().enumerate() {
        let call = backend.fetch(id);
        // Tasks end in any order, so each carries its place with it.
        calls.spawn(async move { (place, call.await) });
    }
    let mut errors = Vec::new();
    let mut panics = Vec::new();
    // No way out but the empty set: what was aborted ends here, too, and so do errors of the same moment.
    while let Some(ended) = calls.join_next().await {
        match ended {
            Ok((place, Ok(reply))) => replies[place] = Some(reply),
            Ok((_, Err(error))) => {
                errors.push(error);
                calls.abort_all();
            }
            // The only other way to end is to have been aborted, and that was us.
            Err(error) => {
                if let Ok(payload) = error.try_into_panic() {
                    panics.push(payload);
                    calls.abort_all();
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if let Some(payload) = panics.pop() {
        resume_unwind(payload);
    }
    Ok(replies.into_iter().flatten().collect())
}
