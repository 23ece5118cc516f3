//! Breaks `every-id`: leaves out ids that it has seen: the reader counts items, and misses some.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::{collections::HashSet, num::NonZeroUsize};
use tokio::task::JoinSet;

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    let mut seen = HashSet::new();
    stream::iter(ids.filter(move |id| seen.insert(*id)))
        .map(move |id| {
            let mut call = JoinSet::new();
            call.spawn(backend.fetch(id));
            async move { call.join_next().await.unwrap().unwrap() }
        })
        .buffered(limit.get())
}
