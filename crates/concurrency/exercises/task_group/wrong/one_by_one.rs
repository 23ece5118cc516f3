//! Breaks `concurrent`: fails fast, keeps the order and leaves nothing behind, since nothing overlaps.

use common::{
    Backend,
    backend::{FetchError, Reply},
};

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let mut replies = Vec::new();
    for id in ids {
        replies.push(backend.fetch(id).await.map_err(|error| vec![error])?);
    }
    Ok(replies)
}
