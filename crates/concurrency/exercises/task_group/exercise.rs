//! Ask the backend for every id at once; all replies, or every error. Task and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};

/// One reply an id, in the order of `ids`; or, if a call fails, every error that a call returned.
pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    todo!("fetch all of {ids:?} from {backend:?}, or none")
}
