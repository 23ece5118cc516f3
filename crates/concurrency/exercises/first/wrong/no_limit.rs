//! Breaks `bounded`: a hedge for each delay that passes: if all replicas are slow, as many calls as there are replicas.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::{Instant, sleep_until};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let _ = limit;
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate().peekable();
    let mut calls = FuturesUnordered::new();
    let mut due = Instant::now();
    loop {
        while Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            calls.push(async move { (place, call.await) });
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some();
        tokio::select! {
            biased;
            ended = calls.next() => match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((place, Err(error))) => {
                    errors[place] = Some(error);
                    due = Instant::now();
                }
                None => return Err(errors.into_iter().flatten().collect()),
            },
            () = sleep_until(due), if can_hedge => {}
        }
    }
}
