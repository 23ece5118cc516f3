//! Ask for all prices, `limit` at a time, and report which are there and why the others are not. Task and rules: `cargo run`, or README.md.

use super::check::PageError;
use common::web::Site;
use concurrency::partial::Report;
use std::num::NonZeroUsize;

/// Prices and failures by id, both in the order of `ids`.
pub async fn partial(
    site: Site,
    ids: Vec<u32>,
    limit: NonZeroUsize,
    give_up_after: NonZeroUsize,
) -> Report<u32, u32, PageError> {
    todo!("ask {site:?} for {ids:?}, {limit} at a time, until {give_up_after} have failed")
}
