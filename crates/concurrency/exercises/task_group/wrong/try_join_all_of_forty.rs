//! Breaks `fail-fast`: above 30 futures, `try_join_all` looks at results in their order, and finds an error late.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::future::try_join_all;

// Right for up to 30 ids, and short; above that it is https://github.com/rust-lang/futures-rs/issues/2866.
pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    try_join_all(ids.into_iter().map(|id| backend.fetch(id))).await.map_err(|error| vec![error])
}
