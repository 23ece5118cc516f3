//! Breaks `bounded`: gathers all replies, bounded in flight, and keeps them all in memory before the first is given.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::num::NonZeroUsize;

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    stream::once(async move {
        let calls = stream::iter(ids).map(|id| backend.fetch(id)).buffered(limit.get());
        stream::iter(calls.collect::<Vec<_>>().await)
    })
    .flatten()
}
