//! Attempts in flight, and who of them is next to end.

use crate::{Panic, Settled};

use futures_util::FutureExt as _;
use std::{
    future::poll_fn,
    iter::Fuse,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Sleep, sleep},
};

/// How long is waited at most before the next attempt. Later than any process ends, and early enough to be added to any
/// clock.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

// ANCHOR: race
pub(super) struct Race<I, F, T, E> {
    attempts: Fuse<I>,
    hedge: Option<(Duration, NonZeroUsize)>,
    start: Start<F, T, E>,
    /// In input order, which decides between two that have ended.
    in_flight: Vec<(usize, Attempt<F, T, E>)>,
    pub(super) made: usize,
    /// When the next one is due; nothing: now.
    due: Option<Pin<Box<Sleep>>>,
    /// Dropping the set aborts what is in it.
    tasks: JoinSet<()>,
}

impl<I, F, T, E> Race<I, F, T, E>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, E>>,
{
    pub(super) fn new(attempts: I, hedge: Option<(Duration, NonZeroUsize)>, start: Start<F, T, E>) -> Self {
        let attempts = attempts.fuse();
        Self { attempts, hedge, start, in_flight: Vec::new(), made: 0, due: None, tasks: JoinSet::new() }
    }

    /// The next to end; nothing if too few are left for `wanted` more.
    pub(super) async fn next(&mut self, wanted: usize) -> Option<(usize, Settled<T, E>)> {
        poll_fn(|cx| {
            let mut asked = 0;
            loop {
                // Who has ended is heard before anybody new begins.
                let rest = self.in_flight[asked..].iter_mut();
                let ended = rest.enumerate().find_map(|(place, (attempt, running))| match running.poll(cx) {
                    Poll::Ready(outcome) => Some((asked + place, (*attempt, outcome))),
                    Poll::Pending => None,
                });
                if let Some((place, ended)) = ended {
                    self.in_flight.remove(place);
                    // If that does not decide, the next one begins at once.
                    self.due = None;
                    return Poll::Ready(Some(ended));
                }
                asked = self.in_flight.len();
                // Known without beginning any of them; a source that can't tell is asked to its end.
                let (_, left) = self.attempts.size_hint();
                if left.is_some_and(|left| asked.saturating_add(left) < wanted) {
                    return Poll::Ready(None);
                }
                let all_have_begun = self.begin(cx);
                if all_have_begun && self.in_flight.len() < wanted {
                    return Poll::Ready(None);
                }
                if self.in_flight.len() == asked {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Begins what is due, as far as there is room. Says whether nothing is left to begin.
    fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.hedge.map_or(usize::MAX, |(_, limit)| limit.get());
        while self.in_flight.len() < limit {
            if self.due.as_mut().is_some_and(|due| due.as_mut().poll(cx).is_pending()) {
                return false;
            }
            self.due = None;
            let Some(future) = self.attempts.next() else { return true };
            self.in_flight.push((self.made, (self.start)(future, &mut self.tasks)));
            self.made += 1;
            self.due = self
                .hedge
                .filter(|(delay, _)| !delay.is_zero())
                .map(|(delay, _)| Box::pin(sleep(delay.min(FAR))));
        }
        false
    }

    /// Ends whatever is left. Dropping `self` would abort the tasks, too, but not wait until they are gone.
    pub(super) async fn over(mut self) {
        self.in_flight.clear();
        self.tasks.shutdown().await;
    }
}
// ANCHOR_END: race

pub(super) type Start<F, T, E> = fn(F, &mut JoinSet<()>) -> Attempt<F, T, E>;

/// An attempt that has begun.
pub(super) enum Attempt<F, T, E> {
    Here(Pin<Box<F>>),
    /// Its task sends the outcome when it has ended, destructors and all.
    InATask(oneshot::Receiver<Settled<T, E>>),
}

pub(super) fn here<F, T, E>(future: F, _: &mut JoinSet<()>) -> Attempt<F, T, E> {
    Attempt::Here(Box::pin(future))
}

pub(super) fn in_a_task<F, T, E>(future: F, tasks: &mut JoinSet<()>) -> Attempt<F, T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    // An endless source that fails for ever must not fill the set.
    while tasks.try_join_next().is_some() {}
    let (sender, outcome) = oneshot::channel();
    tasks.spawn(async move {
        let mut attempt: Attempt<F, T, E> = Attempt::Here(Box::pin(future));
        let outcome = poll_fn(|cx| attempt.poll(cx)).await;
        drop(attempt);
        // Nobody listens any more: it has lost.
        drop(sender.send(outcome));
    });
    Attempt::InATask(outcome)
}

impl<F, T, E> Attempt<F, T, E>
where
    F: Future<Output = Result<T, E>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Settled<T, E>> {
        match self {
            Self::Here(future) => match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => poll.map(|result| result.map_or_else(Settled::Failed, Settled::Ok)),
                Err(payload) => Poll::Ready(Settled::Panicked(Panic::new(payload))),
            },
            // A task that is gone without a word: the runtime was shut down.
            Self::InATask(outcome) => outcome.poll_unpin(cx).map(|sent| sent.unwrap_or(Settled::Cancelled)),
        }
    }
}
