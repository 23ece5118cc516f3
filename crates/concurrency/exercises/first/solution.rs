//! Calls in flight in one set of futures, and one moment at which the next is due.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Thirty years. `Duration::MAX` is how a caller says "no hedge", and no clock has a moment that far off.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pub async fn first(
    backend: Backend,
    replicas: Vec<u32>,
    delay: Duration,
    limit: NonZeroUsize,
) -> Result<Reply, Vec<FetchError>> {
    let mut errors: Vec<Option<FetchError>> = replicas.iter().map(|_| None).collect();
    let mut waiting = replicas.into_iter().enumerate().peekable();
    // Futures, and no tasks: whatever way this function ends, they are dropped with it, before it has returned.
    let mut calls = FuturesUnordered::new();
    // A moment and not a pause: the loop comes round for other reasons, too, and must not begin to wait anew.
    let mut due = Instant::now();
    loop {
        while calls.len() < limit.get()
            && Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            // A failure says nothing of whose it is, so the position goes with the call.
            calls.push(async move { (place, call.await) });
            due = Instant::now() + delay.min(NEVER);
        }
        let can_hedge = waiting.peek().is_some() && calls.len() < limit.get();
        tokio::select! {
            // A reply that is there when the next call is due saves that call.
            biased;
            ended = calls.next() => match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((place, Err(error))) => {
                    errors[place] = Some(error);
                    // To wait for anything would be of no use: the next one is due now.
                    due = Instant::now();
                }
                // Nobody is in flight, so nobody is left: with a place free, the loop above begins the next.
                None => return Err(errors.into_iter().flatten().collect()),
            },
            () = sleep_until(due), if can_hedge => {}
        }
    }
}
