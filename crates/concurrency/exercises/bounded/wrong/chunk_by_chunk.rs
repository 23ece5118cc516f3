//! Breaks `concurrent`: waits for the slowest of each chunk while free places stand empty.

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
    stream::unfold((ids, backend), move |(mut ids, backend)| async move {
        let chunk: Vec<_> = ids.by_ref().take(limit.get()).collect();
        let mut calls = Vec::new();
        for id in chunk {
            let mut call = JoinSet::new();
            call.spawn(backend.fetch(id));
            calls.push(call);
        }
        let mut replies = Vec::new();
        for mut call in calls {
            replies.push(call.join_next().await?.unwrap());
        }
        (!replies.is_empty()).then(|| (stream::iter(replies), (ids, backend)))
    })
    .flatten()
}
