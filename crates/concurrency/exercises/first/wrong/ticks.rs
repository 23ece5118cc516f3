//! Breaks `patient`: hedges with an `interval`: its ticks go on when a failure has begun the next call, and the one after that comes early.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{
    FutureExt as _,
    stream::{FuturesUnordered, StreamExt as _},
};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::interval;

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate();
    let mut calls = FuturesUnordered::new();
    // The first tick comes at once, and begins the first call.
    let mut ticks = interval(delay);
    let mut failed = false;
    loop {
        if failed || calls.is_empty() {
            failed = false;
            if let Some((place, id)) = waiting.next() {
                let call = backend.fetch(id);
                calls.push(async move { (place, call.await) }.boxed());
                if place == 0 {
                    ticks.tick().await;
                }
            }
        }
        tokio::select! {
            biased;
            ended = calls.next() => match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((place, Err(error))) => {
                    errors[place] = Some(error);
                    failed = true;
                }
                None => return Err(errors.into_iter().flatten().collect()),
            },
            _ = ticks.tick(), if calls.len() < limit.get() => {
                if let Some((place, id)) = waiting.next() {
                    let call = backend.fetch(id);
                    calls.push(async move { (place, call.await) }.boxed());
                }
            }
        }
    }
}
