//! Breaks `order`: `buffer_unordered` gives what ends first, not what was asked for first.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    stream::iter(ids)
        .map(move |id| {
            let mut call = JoinSet::new();
            call.spawn(backend.fetch(id));
            async move { call.join_next().await.unwrap().unwrap() }
        })
        .buffer_unordered(limit.get())
}
