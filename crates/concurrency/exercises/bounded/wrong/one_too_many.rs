//! Breaks `bounded`: one more "so that there is always one ready", and with it one more in flight.

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
        .buffered(limit.get() + 1)
}
