//! Breaks `every-error`: `shutdown` aborts and waits, and throws away what tasks had returned by then.

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
        match ended {
            Ok((place, Ok(reply))) => replies[place] = Some(reply),
            Ok((_, Err(error))) => {
                calls.shutdown().await;
                return Err(vec![error]);
            }
            Err(error) => {
                calls.shutdown().await;
                resume_unwind(error.into_panic());
            }
        }
    }
    Ok(replies.into_iter().flatten().collect())
}
