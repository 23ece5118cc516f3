//! One task owns the state; the others send it what to do.

use crate::Panic;

use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    convert::Infallible,
    fmt,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, resume_unwind},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};

/// Gives the state to a task of its own; what comes back is how to reach it, and how to end it.
///
/// Take it when changes await in the middle and are to be brought to their end whoever waits for them: the task is nobody's
/// caller. Take a std `Mutex` when they don't await: a call costs two wake-ups and a few allocations. Take several owners,
/// one for each key, when one is too slow: an owner does one thing at a time, and that is what it is for.
///
/// `mailbox` is how many calls may wait for their turn; the others wait for room, in the order in which they came.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Source
/// The actor of Carl Hewitt, Peter Bishop and Richard Steiger (1973); handle and task as in Alice Ryhl's "Actors with
/// Tokio" (2021).
///
/// # Examples
/// ```
/// use concurrency::shared_state::{CallError, own};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mailbox = NonZeroUsize::new(16).expect("16 is not zero");
/// let (stock, owner) = own(vec![7, 3], mailbox);
/// let left = stock.call(|stock| { stock[0] -= 2; stock[0] }).await;
/// assert_eq!(left, Ok(5));
/// assert_eq!(owner.shutdown().await.unwrap(), [5, 3]);
/// assert_eq!(stock.call(|stock| stock.len()).await, Err(CallError::Closed));
/// # });
/// ```
pub fn own<S: Send + 'static>(state: S, mailbox: NonZeroUsize) -> (Owned<S>, Owner<S>) {
    let (calls, received) = mpsc::channel(mailbox.get().min(Semaphore::MAX_PERMITS));
    let (stop, stopped) = oneshot::channel();
    let (alive, is_alive) = mpsc::channel(1);
    // The set aborts its task when it is dropped, and it is dropped with the `Owner`.
    let mut task = JoinSet::new();
    task.spawn(serve(is_alive, state, received, stopped));
    (Owned { calls, alive }, Owner { stop, task })
}

/// The state, as its users see it. Clones lead to the same one.
pub struct Owned<S> {
    calls: mpsc::Sender<Call<S>>,
    /// Nothing is ever sent: it is closed when the owner's task is gone, and that after its mailbox.
    alive: mpsc::Sender<Infallible>,
}

/// Why a call gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The owner takes no calls any more. This one has not run, and can be made again, to another owner.
    #[error("the owner of the state takes no calls any more")]
    Closed,
    /// The call panicked. Nobody can vouch for the state any more, so it is gone, and with it the owner.
    #[error("the call panicked, and the state is gone")]
    Panicked,
    /// The owner was dropped in the middle of the call: how far it came nobody knows, and the state is gone.
    #[error("the owner of the state was dropped in the middle of the call")]
    Interrupted,
}

impl<S: Send + 'static> Owned<S> {
    /// Runs `change` on the state, and gives what it gives.
    ///
    /// # Shape
    /// Calls run one at a time, in the order in which they found room in the mailbox. Nobody else sees the state meanwhile.
    ///
    /// # Errors
    /// [`CallError`], whose variants say whether the call has run.
    ///
    /// # Cancel safety
    /// All or nothing. Dropped while it waits for room, it does not run; after that it runs to its end without its caller,
    /// and what it gives is dropped.
    pub async fn call<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.call_async(|state| async move { change(state) }.boxed()).await
    }

    /// Runs a change that awaits: `|state| async move { ... }.boxed()`, with `futures_util::FutureExt`.
    ///
    /// # Shape
    /// As [`call`](Self::call). The others wait while it awaits, so a slow call to elsewhere belongs before it, if it can
    /// be, and a limit around it. It must not call its own owner: that waits for ever.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As [`call`](Self::call): its awaits are the owner's, and its caller can't cut them off.
    pub async fn call_async<R: Send + 'static>(
        &self,
        change: impl for<'a> FnOnce(&'a mut S) -> BoxFuture<'a, R> + Send + 'static,
    ) -> Result<R, CallError> {
        let (sender, mut answered) = oneshot::channel();
        let mut answer = Answer { sender: Some(sender), begun: false };
        let call: Call<S> = Box::new(move |state| {
            async move {
                answer.begun = true;
                // A panic goes on to the owner, who has to hear of it; the caller is told on the way.
                match AssertUnwindSafe(async { change(state).await }).catch_unwind().await {
                    Ok(value) => answer.give(Ok(value)),
                    Err(payload) => {
                        answer.give(Err(CallError::Panicked));
                        resume_unwind(payload);
                    }
                }
            }
            .boxed()
        });
        // The answer goes with the call: if nobody takes it, it says so when it is dropped.
        drop(self.calls.send(call).await);
        let told = tokio::select! {
            biased;
            told = &mut answered => told.ok(),
            // Who was given room in the moment in which the owner went has put its call into a mailbox that nobody drops
            // before the last handle (tokio #7714). All that the owner knew of has been told by now.
            () = self.alive.closed() => answered.try_recv().ok(),
        };
        told.unwrap_or(Err(CallError::Closed))
    }
}

impl<S> Clone for Owned<S> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), alive: self.alive.clone() }
    }
}

impl<S> fmt::Debug for Owned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").field("room", &self.calls.capacity()).finish_non_exhaustive()
    }
}

/// The task that owns the state. Dropping it aborts the task, in the middle of a call if need be, and drops the state.
#[derive(Debug)]
#[must_use = "dropping it aborts the task that owns the state"]
pub struct Owner<S: 'static> {
    stop: oneshot::Sender<()>,
    task: JoinSet<S>,
}

impl<S: Send + 'static> Owner<S> {
    /// Takes no more calls, runs those in the mailbox, and gives the state back.
    ///
    /// # Shape
    /// Who still waits for room in the mailbox is told [`CallError::Closed`]. Where draining must not take for ever, put
    /// a limit around it: `timeout(limit, owner.shutdown())` aborts what is left. A call that was given its room and is not
    /// polled any more keeps it waiting: see [deadlock](crate::deadlock).
    ///
    /// # Errors
    /// The [`Panic`] of a call. There is no state then.
    ///
    /// # Panics
    /// If the runtime was shut down meanwhile.
    ///
    /// # Cancel safety
    /// As dropping the owner: the task is aborted, and the state is dropped.
    pub async fn shutdown(self) -> Result<S, Panic> {
        let Self { stop, mut task } = self;
        // The task may have ended by itself: when no handle is left, or after a panic.
        stop.send(()).ok();
        match task.join_next().await {
            Some(Ok(state)) => Ok(state),
            Some(Err(error)) if error.is_panic() => Err(Panic::new(error.into_panic())),
            _ => panic!("the runtime was shut down, and took the owner of the state with it"),
        }
    }
}

type Call<S> = Box<dyn for<'a> FnOnce(&'a mut S) -> BoxFuture<'a, ()> + Send>;

// ANCHOR: serve
/// What comes first is dropped last: when `_alive` goes, each call in the mailbox has been told.
async fn serve<S>(
    _alive: mpsc::Receiver<Infallible>,
    mut state: S,
    mut calls: mpsc::Receiver<Call<S>>,
    stop: oneshot::Receiver<()>,
) -> S {
    // Fused: it is asked again after it has said something, and one that was dropped says something, too.
    let mut stop = stop.fuse();
    loop {
        tokio::select! {
            biased;
            // What is in the mailbox is drained. An `Owner` that was dropped says no `Ok`: it aborts.
            Ok(()) = &mut stop => calls.close(),
            call = calls.recv() => match call {
                Some(call) => call(&mut state).await,
                // Closed and drained, or nobody is left who could call.
                None => return state,
            },
        }
    }
}
// ANCHOR_END: serve

/// Tells the caller how the call ended, also if it never ran.
struct Answer<R> {
    sender: Option<oneshot::Sender<Result<R, CallError>>>,
    begun: bool,
}

impl<R> Answer<R> {
    fn give(&mut self, ended: Result<R, CallError>) {
        if let Some(sender) = self.sender.take() {
            // A caller that has gone wants no answer.
            drop(sender.send(ended));
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        self.give(Err(if self.begun { CallError::Interrupted } else { CallError::Closed }));
    }
}
