//! Ask for every id, one after the other, under two limits, and say whose it was. Task and rules: `cargo run`, or README.md.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;

/// One reply an id, in the order of `ids`.
pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    todo!("fetch {ids:?} from {backend:?}, each within {each:?}, all within {total:?}")
}
