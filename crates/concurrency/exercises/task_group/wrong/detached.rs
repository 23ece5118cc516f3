//! Breaks `stops`: aborts and waits while it is polled; dropped, its handles let their tasks run on.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::panic::resume_unwind;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut replies: Vec<Option<Reply>> = ids.iter().map(|_| None).collect();
    let mut aborts = Vec::new();
    let mut calls = FuturesUnordered::new();
    for (place, id) in ids.into_iter().enumerate() {
        let call = tokio::spawn(backend.fetch(id));
        aborts.push(call.abort_handle());
        calls.push(async move { (place, call.await) });
    }
    let (mut errors, mut panics) = (Vec::new(), Vec::new());
    while let Some((place, ended)) = calls.next().await {
        match ended {
            Ok(Ok(reply)) => {
                replies[place] = Some(reply);
                continue;
            }
            Ok(Err(error)) => errors.push(error),
            Err(error) => panics.extend(error.try_into_panic()),
        }
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
    }
    if let Some(payload) = panics.pop() {
        resume_unwind(payload);
    }
    if errors.is_empty() { Ok(replies.into_iter().flatten().collect()) } else { Err(errors) }
}
