//! Breaks `stops`: ends the losers before it returns; but when it is dropped itself, dropped handles detach their tasks.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::future::select_all;
use std::{num::NonZeroUsize, panic::resume_unwind, time::Duration};
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
            calls.push(tokio::spawn(async move { (place, call.await) }));
            due = Instant::now() + delay;
        }
        if calls.is_empty() {
            return Err(errors.into_iter().flatten().collect());
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
            Ok((_, Ok(reply))) => {
                for loser in calls {
                    loser.abort();
                    drop(loser.await);
                }
                return Ok(reply);
            }
            Ok((place, Err(error))) => {
                errors[place] = Some(error);
                due = Instant::now();
            }
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}
