//! Breaks `hedges`: waits for the first one with a time limit, and then asks one more: a third is never a hedge.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::timeout;

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate();
    let mut calls = FuturesUnordered::new();
    let call = |(place, id): (usize, u32)| {
        let call = backend.fetch(id);
        async move { (place, call.await) }
    };
    calls.extend(waiting.next().map(call));
    let mut patience = Some(delay);
    loop {
        let ended = match patience.take() {
            Some(delay) => match timeout(delay, calls.next()).await {
                Ok(ended) => ended,
                Err(_) => {
                    if calls.len() < limit.get() {
                        calls.extend(waiting.next().map(call));
                    }
                    continue;
                }
            },
            None => calls.next().await,
        };
        match ended {
            Some((_, Ok(reply))) => return Ok(reply),
            Some((place, Err(error))) => {
                errors[place] = Some(error);
                calls.extend(waiting.next().map(call));
                patience = Some(delay);
            }
            None => return Err(errors.into_iter().flatten().collect()),
        }
    }
}
