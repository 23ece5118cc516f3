//! Breaks `concurrent`: a second, hidden limit, as a client's own pool has one: a limit above it is never reached.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::{future::pending, num::NonZeroUsize, panic::resume_unwind};
use tokio::task::JoinSet;

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    stream::iter(ids)
        // `buffered` takes from this only when it has room: it is what keeps the iterator from running ahead.
        .map(move |id| {
            // A set of one: unlike a `JoinHandle`, it aborts its task when it is dropped, and the stream owns it.
            let mut call = JoinSet::new();
            call.spawn(backend.fetch(id));
            // What `buffered` polls, or fails to poll, is only the waiting.
            async move {
                match call.join_next().await {
                    Some(Ok(reply)) => reply,
                    // A panic of the task goes on where its reply was awaited.
                    Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
                    // The runtime is shutting down: there is no reply, and nobody will ask again.
                    Some(Err(_)) | None => pending().await,
                }
            }
        })
        .buffered(limit.get().min(4))
}
