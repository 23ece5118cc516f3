//! Work that is alive, and the tasks of what is shielded.

use super::{
    Node,
    outcome::{Cancelled, WorkError},
};
use crate::Panic;
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, AbortRegistration, Abortable, pending},
};
use pin_project_lite::pin_project;
use std::{
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::{runtime::Handle, select, sync::oneshot};

/// What is alive in a scope and beneath it.
#[derive(Default)]
pub(super) struct Ledger {
    /// By number, so that names come in the order in which the work began.
    alive: BTreeMap<u64, Line>,
    /// How much has gone.
    ended: usize,
    /// Once cancelled, nothing begins; under the same lock as what is alive, so that nothing slips in between.
    refuses: bool,
}

struct Line {
    work: &'static str,
    /// None for what is polled in its caller's task.
    abort: Option<AbortHandle>,
    begin: Begin,
}

impl Ledger {
    /// For `send_if_modified`: nobody waits for this.
    pub(super) const fn refuse(&mut self) -> bool {
        self.refuses = true;
        false
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub(super) const fn ended(&self) -> usize {
        self.ended
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.alive.values().map(|line| line.work).collect()
    }

    /// What can be aborted, but for clean-up.
    pub(super) fn work(&self) -> Vec<(&'static str, AbortHandle)> {
        self.tasks(Begin::UnlessCancelled)
    }

    pub(super) fn clean_up(&self) -> Vec<(&'static str, AbortHandle)> {
        self.tasks(Begin::Always)
    }

    /// Whether no clean-up is left that has been aborted.
    pub(super) fn aborted_is_gone(&self) -> bool {
        self.clean_up().iter().all(|(_, task)| !task.is_aborted())
    }

    fn tasks(&self, begin: Begin) -> Vec<(&'static str, AbortHandle)> {
        let lines = self.alive.values().filter(|line| line.begin == begin);
        lines.filter_map(|line| Some((line.work, line.abort.clone()?))).collect()
    }
}

/// Whether a scope that is cancelled may begin it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    UnlessCancelled,
    /// For what is to be cleaned up, and for clean-up.
    Always,
}

/// A line in the ledger of a scope and of each above it; struck out on drop.
pub(super) struct Entry {
    node: Arc<Node>,
    number: u64,
}

impl Entry {
    pub(super) fn new(
        node: &Arc<Node>,
        work: &'static str,
        abort: Option<&AbortHandle>,
        begin: Begin,
    ) -> Result<Self, Cancelled> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let entry = Self { node: node.clone(), number: NEXT.fetch_add(1, Relaxed) };
        for above in node.chain() {
            let mut refused = false;
            above.ledger.send_if_modified(|ledger| {
                refused = ledger.refuses && begin == Begin::UnlessCancelled;
                if !refused {
                    ledger.alive.insert(entry.number, Line { work, abort: abort.cloned(), begin });
                }
                // Nobody waits for more.
                false
            });
            if refused {
                return Err(node.why());
            }
        }
        Ok(entry)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        for node in self.node.chain() {
            node.ledger.send_if_modified(|ledger| {
                let gone = ledger.alive.remove(&self.number);
                ledger.ended += usize::from(gone.is_some());
                // `close` waits for clean-up that it has aborted, whatever else is left.
                ledger.alive.is_empty() || gone.is_some_and(|line| line.begin == Begin::Always)
            });
        }
    }
}

pin_project! {
    /// A future that is in the ledger. The order of the fields is that of their drops: it is struck out when it has gone.
    struct Tracked<F> {
        #[pin]
        future: F,
        entry: Entry,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(context)
    }
}

/// A panic as an error.
pub(super) async fn caught<F: Future, E>(future: F) -> Result<F::Output, WorkError<E>> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|payload| WorkError::Panicked(Panic::new(payload)))
}

/// Tells how work has ended, also if it is only dropped: with its runtime.
struct Ending<T, E: fmt::Display> {
    node: Arc<Node>,
    work: &'static str,
    send: Option<oneshot::Sender<Result<T, WorkError<E>>>>,
}

impl<T, E: fmt::Display> Ending<T, E> {
    fn tell(mut self, ended: Result<T, WorkError<E>>) {
        self.send(ended);
    }

    fn send(&mut self, ended: Result<T, WorkError<E>>) {
        if let Some(send) = self.send.take()
            && let Err(Err(error)) = send.send(ended)
        {
            self.node.lose(self.work, &error);
        }
    }
}

impl<T, E: fmt::Display> Drop for Ending<T, E> {
    fn drop(&mut self) {
        self.send(Err(WorkError::Aborted));
    }
}

/// The end of shielded work, to be awaited; made by [`Scope::shield`](super::Scope::shield).
///
/// # Cancel safety
/// Cancel safe: the work runs on. Its value is dropped; its error goes to the scope's `on_lost`.
#[must_use = "it runs on if it is dropped, but what comes of it is only told here"]
pub struct Shielded<T, E: fmt::Display> {
    node: Arc<Node>,
    work: &'static str,
    end: oneshot::Receiver<Result<T, WorkError<E>>>,
}

impl<T, E: fmt::Display> Shielded<T, E> {
    pub(super) fn spawn<F>(
        node: &Arc<Node>,
        runtime: &Handle,
        work: &'static str,
        begin: Begin,
        future: F,
    ) -> Self
    where
        F: Future<Output = Result<T, WorkError<E>>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (send, end) = oneshot::channel();
        let shielded = Self { node: node.clone(), work, end };
        let (abort, registration): (AbortHandle, AbortRegistration) = AbortHandle::new_pair();
        match Entry::new(node, work, Some(&abort), begin) {
            Err(cancelled) => drop(send.send(Err(WorkError::NotBegun(cancelled)))),
            Ok(entry) => {
                let node = node.clone();
                let ending = Ending { node, work, send: Some(send) };
                let future = async move {
                    // In a block of its own, inside of what catches: a destructor may panic, too, and nobody hears of the
                    // end before what the work held is free.
                    let ended = caught(async move {
                        match begin {
                            Begin::UnlessCancelled => {
                                let ended = Abortable::new(future, registration).await;
                                ended.unwrap_or(Err(WorkError::Aborted))
                            }
                            // Polled first, and then the abort is looked at: it may be late, but it is called.
                            Begin::Always => select! {
                                biased;
                                ended = future => ended,
                                _ = Abortable::new(pending::<()>(), registration) => Err(WorkError::Aborted),
                            },
                        }
                    });
                    ending.tell(ended.await.flatten());
                };
                drop(runtime.spawn(Tracked { future, entry }));
            }
        }
        shielded
    }
}

impl<T, E: fmt::Display> Future for Shielded<T, E> {
    type Output = Result<T, WorkError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The sender never goes unsent.
        self.end.poll_unpin(context).map(|ended| ended.unwrap_or(Err(WorkError::Aborted)))
    }
}

impl<T, E: fmt::Display> Drop for Shielded<T, E> {
    fn drop(&mut self) {
        // It may have ended in this very moment, unseen.
        self.end.close();
        if let Ok(Err(error)) = self.end.try_recv()
            && !matches!(error, WorkError::NotBegun(_))
        {
            self.node.lose(self.work, &error);
        }
    }
}

impl<T, E: fmt::Display> fmt::Debug for Shielded<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shielded").field(&self.work).finish()
    }
}
