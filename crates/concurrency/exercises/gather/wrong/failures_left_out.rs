//! Breaks `every-id`: keeps what succeeded, and the caller can't tell what is missing.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use futures_util::{StreamExt as _, stream};
use std::num::NonZeroUsize;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let replies = stream::iter(ids.into_iter().enumerate())
        .map(|(place, id)| {
            let call = backend.fetch(id);
            async move { (place, tokio::task::JoinSet::from_iter([call]).join_next().await) }
        })
        .buffer_unordered(limit.get());
    let mut replies: Vec<_> =
        replies.filter_map(async |(place, joined)| Some((place, joined?.ok()?.ok()?))).collect().await;
    replies.sort_unstable_by_key(|(place, _)| *place);
    replies.into_iter().map(|(_, reply)| Settled::Ok(reply)).collect()
}
