//! Breaks `errors`: pushes errors as calls fail: nobody can tell which replica said what.

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
    let mut errors = Vec::new();
    let mut waiting = replicas.into_iter().peekable();
    let mut calls = FuturesUnordered::new();
    let mut due = Instant::now();
    loop {
        while calls.len() < limit.get()
            && Instant::now() >= due
            && let Some(id) = waiting.next()
        {
            calls.push(backend.fetch(id));
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
        tokio::select! {
            biased;
            ended = calls.next() => match ended {
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(error)) => {
                    errors.push(error);
                    due = Instant::now();
                }
                None => return Err(errors),
            },
            () = sleep_until(due), if can_hedge => {}
        }
    }
}
