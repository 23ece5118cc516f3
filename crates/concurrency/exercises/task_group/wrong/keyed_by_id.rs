//! Breaks `order`: results in a map, as in `results[url] = ...`; an id that is given twice has one reply.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{collections::HashMap, panic::resume_unwind};
use tokio::task::JoinSet;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut calls: JoinSet<_> = ids.iter().map(|id| backend.fetch(*id)).collect();
    let (mut replies, mut errors, mut panics) = (HashMap::new(), Vec::new(), Vec::new());
    while let Some(ended) = calls.join_next().await {
        match ended {
            Ok(Ok(reply)) => drop(replies.insert(reply.id, reply)),
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
    if errors.is_empty() { Ok(ids.iter().filter_map(|id| replies.remove(id)).collect()) } else { Err(errors) }
}
