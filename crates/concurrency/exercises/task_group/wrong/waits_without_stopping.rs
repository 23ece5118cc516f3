//! Breaks `fail-fast`: lets every sibling come to its own end before it says that one has failed.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::future::join_all;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let (replies, errors): (Vec<_>, Vec<_>) =
        join_all(ids.into_iter().map(|id| backend.fetch(id))).await.into_iter().partition(Result::is_ok);
    if errors.is_empty() {
        Ok(replies.into_iter().flatten().collect())
    } else {
        Err(errors.into_iter().filter_map(Result::err).collect())
    }
}
