//! Breaks `errors`: `select_all` over nothing panics, and nothing is what a caller without replicas gives.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{FutureExt as _, future::select_all};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::{Instant, sleep_until};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate().peekable();
    let mut calls = Vec::new();
    let mut due = Instant::now();
    loop {
        while calls.len() < limit.get()
            && Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            calls.push(async move { (place, call.await) }.boxed());
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
        let ended = tokio::select! {
            biased;
            (ended, index, _) = select_all(&mut calls) => {
                drop(calls.swap_remove(index));
                ended
            }
            () = sleep_until(due), if can_hedge => continue,
        };
        match ended {
            (_, Ok(reply)) => return Ok(reply),
            (place, Err(error)) => {
                errors[place] = Some(error);
                due = Instant::now();
                if calls.is_empty() && waiting.peek().is_none() {
                    return Err(errors.into_iter().flatten().collect());
                }
            }
        }
    }
}
