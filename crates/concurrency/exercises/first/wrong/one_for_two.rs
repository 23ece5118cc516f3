//! Breaks `fails-over`: takes all failures of a moment together, and asks one replica in the place of two.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::{Instant, timeout_at};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate().peekable();
    let mut calls = FuturesUnordered::new();
    loop {
        if calls.len() < limit.get()
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            calls.push(async move { (place, call.await) });
        }
        let due = Instant::now() + delay;
        let mut failed = false;
        loop {
            let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
            let ended = if failed {
                match calls.next().now_or_never() {
                    Some(ended) => ended,
                    None => break,
                }
            } else if can_hedge {
                match timeout_at(due, calls.next()).await {
                    Ok(ended) => ended,
                    Err(_) => break,
                }
            } else {
                calls.next().await
            };
            match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((place, Err(error))) => {
                    errors[place] = Some(error);
                    failed = true;
                }
                None if waiting.peek().is_some() => break,
                None => return Err(errors.into_iter().flatten().collect()),
            }
        }
    }
}
