//! Breaks `over`: dropping the `JoinSet` aborts the losers, and waits for none of them.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{num::NonZeroUsize, panic::resume_unwind, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate().peekable();
    let mut calls = JoinSet::new();
    let mut due = Instant::now();
    loop {
        while calls.len() < limit.get()
            && Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            calls.spawn(async move { (place, call.await) });
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
        tokio::select! {
            biased;
            ended = calls.join_next() => match ended {
                Some(Ok((_, Ok(reply)))) => return Ok(reply),
                Some(Ok((place, Err(error)))) => {
                    errors[place] = Some(error);
                    due = Instant::now();
                }
                Some(Err(error)) => resume_unwind(error.into_panic()),
                None => return Err(errors.into_iter().flatten().collect()),
            },
            () = sleep_until(due), if can_hedge => {}
        }
    }
}
