//! Fetch every id, in order, never more than `limit` ahead of the reader, and go on while the reader is busy. Task
//! and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::num::NonZeroUsize;

/// One reply or error an id, in the order of `ids`, of which there may be no end.
pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    // A beginning, not a must: any stream will do.
    stream::iter(ids).map(move |id| todo!("fetch {id} from {backend:?}, with {limit} in flight or unread"))
}
