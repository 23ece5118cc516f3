//! Breaks `over`: a task for each call and a channel for the replies: who has lost does not hear of it.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::{num::NonZeroUsize, time::Duration};
use tokio::{
    sync::mpsc,
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
    let (sender, mut replies) = mpsc::channel(limit.get());
    let mut in_flight = 0;
    let mut due = Instant::now();
    loop {
        while in_flight < limit.get()
            && Instant::now() >= due
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            let sender = sender.clone();
            tokio::spawn(async move { sender.send((place, call.await)).await });
            in_flight += 1;
            due = Instant::now() + delay;
        }
        let can_hedge = waiting.peek().is_some() && in_flight < limit.get();
        tokio::select! {
            biased;
            ended = replies.recv(), if in_flight > 0 => match ended {
                Some((_, Ok(reply))) => return Ok(reply),
                Some((place, Err(error))) => {
                    in_flight -= 1;
                    errors[place] = Some(error);
                    due = Instant::now();
                }
                None => break,
            },
            () = sleep_until(due), if can_hedge => {}
            else => break,
        }
    }
    Err(errors.into_iter().flatten().collect())
}
