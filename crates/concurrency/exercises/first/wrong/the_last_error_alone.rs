//! Breaks `errors`: keeps what went wrong last; what the others said is lost.

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
    let mut last = None;
    let mut waiting = replicas.into_iter().enumerate().peekable();
    let mut calls = FuturesUnordered::new();
    let mut due = Instant::now();
    loop {
        while calls.len() < limit.get()
            && Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            calls.push(async move { (place, call.await) });
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
        tokio::select! {
            biased;
            ended = calls.next() => match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((_, Err(error))) => {
                    last = Some(error);
                    due = Instant::now();
                }
                None => return Err(last.into_iter().collect()),
            },
            () = sleep_until(due), if can_hedge => {}
        }
    }
}
