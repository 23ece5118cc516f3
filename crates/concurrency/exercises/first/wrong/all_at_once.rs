//! Breaks `patient`: asks every replica at once, as `asyncio.wait` over a list of tasks does: each request is made as often as there are replicas.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::{num::NonZeroUsize, time::Duration};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let _ = (delay, limit);
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut calls: FuturesUnordered<_> = replicas
        .into_iter()
        .enumerate()
        .map(|(place, id)| {
            let call = backend.fetch(id);
            async move { (place, call.await) }
        })
        .collect();
    while let Some((place, result)) = calls.next().await {
        match result {
            Ok(reply) => return Ok(reply),
            Err(error) => errors[place] = Some(error),
        }
    }
    Err(errors.into_iter().flatten().collect())
}
