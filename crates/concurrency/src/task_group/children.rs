//! What the handles of a group share: the set of its children, and what has become of them.

use super::{Failure, GroupError, Origin};

use std::{
    any::Any,
    future::poll_fn,
    mem::take,
    panic::resume_unwind,
    sync::{Mutex, MutexGuard, PoisonError, Weak},
    task::{Poll, ready},
    thread,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinError, JoinSet},
};

type Payload = Box<dyn Any + Send>;

pub(super) enum Cause<E> {
    Failed(Failure<E>),
    Panicked(Payload),
}

pub(super) struct Shared<E> {
    /// A std mutex: it is held for moments, and no code of the caller's runs meanwhile.
    state: Mutex<State<E>>,
    /// Turns true at the first failure, and closes with the group.
    cancel: watch::Sender<bool>,
    grace: Duration,
}

pub(super) struct State<E> {
    /// Dropped with the group's future, and then it aborts them all.
    pub(super) children: JoinSet<()>,
    pub(super) spawned: usize,
    pub(super) open: bool,
    failures: Vec<Failure<E>>,
    panics: Vec<Payload>,
    cancelled: usize,
}

impl<E> Shared<E> {
    pub(super) fn new(cancel: watch::Sender<bool>, grace: Duration) -> Self {
        let state = State {
            children: JoinSet::new(),
            spawned: 0,
            open: true,
            failures: Vec::new(),
            panics: Vec::new(),
            cancelled: 0,
        };
        Self { state: Mutex::new(state), cancel, grace }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by whoever fails, where it fails: siblings are stopped even while the body keeps its thread busy.
    pub(super) fn stop(&self, cause: Cause<E>) {
        let mut state = self.lock();
        state.open = false;
        match cause {
            Cause::Failed(failure) => state.failures.push(failure),
            Cause::Panicked(payload) => state.panics.push(payload),
        }
        if self.grace.is_zero() {
            state.children.abort_all();
        }
        drop(state);
        self.cancel.send_replace(true);
    }

    pub(super) fn try_join(&self) -> Option<Result<(), JoinError>> {
        self.lock().children.try_join_next()
    }

    pub(super) fn reap(&self, joined: Result<(), JoinError>) {
        match joined.map_err(JoinError::try_into_panic) {
            Ok(()) => {}
            // Only a destructor gets here: a child's own panic is caught where it happens.
            Err(Ok(payload)) => self.stop(Cause::Panicked(payload)),
            Err(Err(_)) => {
                let mut state = self.lock();
                // Before the group has failed, it was somebody else who aborted the child.
                let stopping = !(state.failures.is_empty() && state.panics.is_empty());
                state.cancelled += usize::from(stopping);
            }
        }
    }

    pub(super) async fn all_gone(&self) {
        let next = || {
            poll_fn(|cx| {
                let mut state = self.lock();
                let joined = ready!(state.children.poll_join_next(cx));
                // Under the same lock, so that no child comes in between the last one and the end.
                state.open &= joined.is_some();
                Poll::Ready(joined)
            })
        };
        while let Some(joined) = next().await {
            self.reap(joined);
        }
    }

    pub(super) fn outcome<T>(&self, value: Option<T>) -> Result<T, GroupError<E>> {
        let mut state = self.lock();
        let (failures, panics) = (take(&mut state.failures), take(&mut state.panics));
        let cancelled = state.cancelled;
        drop(state);
        if let Some(payload) = panics.into_iter().next() {
            resume_unwind(payload);
        }
        let mut failures = failures.into_iter();
        match (failures.next(), value) {
            (Some(first), _) => Err(GroupError { first, rest: failures.collect(), cancelled }),
            (None, Some(value)) => Ok(value),
            (None, None) => unreachable!("only a failure or a panic stops a body"),
        }
    }
}

/// The end of a child. Its failure is known before its handle is let go of.
pub(super) fn conclude<T, E>(
    shared: &Weak<Shared<E>>,
    index: usize,
    ended: thread::Result<Result<T, E>>,
    report: oneshot::Sender<T>,
) {
    let cause = match ended {
        Ok(Ok(value)) => {
            // Nobody may be interested in the value.
            drop(report.send(value));
            return;
        }
        Ok(Err(error)) => Cause::Failed(Failure { origin: Origin::Child(index), error }),
        Err(payload) => Cause::Panicked(payload),
    };
    if let Some(shared) = shared.upgrade() {
        shared.stop(cause);
    }
}
