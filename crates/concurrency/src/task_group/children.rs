//! What the handles of a group share: the set of its children, and what has become of them.

use super::{Failure, GroupError, Origin};

use std::{
    any::Any,
    future::poll_fn,
    mem::take,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
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
    /// As long as there is a body to be stopped: what would tell it that a child of the failed group has no value.
    silent: Option<Vec<Box<dyn Send>>>,
}

impl<E> State<E> {
    const fn has_failed(&self) -> bool {
        !(self.failures.is_empty() && self.panics.is_empty())
    }
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
            silent: Some(Vec::new()),
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
        // Only a destructor gets here: a child's own panic is caught where it happens.
        if let Err(Ok(payload)) = joined.map_err(JoinError::try_into_panic) {
            self.stop(Cause::Panicked(payload));
        }
    }

    /// A child is gone that gave no value. In a group that has failed, the body is not to hear of it.
    fn no_value(&self, sender: impl Send + 'static, aborted_for_a_failure: bool) {
        let mut state = self.lock();
        if !state.has_failed() {
            // The sender is dropped after the lock, as a parameter: it wakes whoever waits.
            return;
        }
        state.cancelled += usize::from(aborted_for_a_failure);
        if let Some(silent) = &mut state.silent {
            silent.push(Box::new(sender));
        }
    }

    /// The body has ended or was dropped. Whoever else waits for a child without a value learns of it: without that,
    /// children would wait for their siblings until their grace is over, and those on threads for ever.
    pub(super) fn end_silence(&self) {
        let silent = self.lock().silent.take();
        drop(silent);
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

/// How a child tells its end: by [`conclude`](Self::conclude), or by being dropped when it was aborted.
pub(super) struct Report<T: Send + 'static, E> {
    index: usize,
    /// Empty when all has been told.
    sender: Option<oneshot::Sender<T>>,
    alone: Arc<AtomicBool>,
    shared: Weak<Shared<E>>,
}

impl<T: Send + 'static, E> Report<T, E> {
    pub(super) const fn new(
        index: usize,
        sender: oneshot::Sender<T>,
        alone: Arc<AtomicBool>,
        shared: Weak<Shared<E>>,
    ) -> Self {
        Self { index, sender: Some(sender), alone, shared }
    }

    /// A failure is known before the handle is let go of.
    pub(super) fn conclude(mut self, ended: thread::Result<Result<T, E>>) {
        let Some(sender) = self.sender.take() else { return };
        let cause = match ended {
            Ok(Ok(value)) => {
                // Nobody may be interested in the value.
                drop(sender.send(value));
                return;
            }
            Ok(Err(error)) => Cause::Failed(Failure { origin: Origin::Child(self.index), error }),
            Err(payload) => Cause::Panicked(payload),
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.stop(cause);
            shared.no_value(sender, false);
        }
    }
}

impl<T: Send + 'static, E> Drop for Report<T, E> {
    fn drop(&mut self) {
        if let (Some(sender), Some(shared)) = (self.sender.take(), self.shared.upgrade()) {
            shared.no_value(sender, !self.alone.load(Relaxed));
        }
    }
}

/// Holds what a child is to run, until the child begins.
pub(super) struct Slot<W>(Arc<Mutex<Option<W>>>);

impl<W> Slot<W> {
    pub(super) fn new(work: W) -> Self {
        Self(Arc::new(Mutex::new(Some(work))))
    }

    pub(super) fn take(self) -> Option<W> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<W> Clone for Slot<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
