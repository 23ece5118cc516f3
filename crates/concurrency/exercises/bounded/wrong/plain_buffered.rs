//! Breaks `progress`: the futures of `buffered` run only while the reader waits, and stand still while it works.

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
    stream::iter(ids).map(move |id| backend.fetch(id)).buffered(limit.get())
}
