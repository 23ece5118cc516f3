//! What a supervisor shares with its tasks, and the shell around each of them.

use super::{Cause, Incident, Next, Report, Restart, restart::Restarts};
use crate::Panic;
use futures_util::FutureExt as _;
use pin_project_lite::pin_project;
use std::{
    collections::BTreeMap,
    mem::take,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

type Sink<E> = Box<dyn Fn(Incident<E>) + Send + Sync>;

pub(super) struct Shared<E> {
    /// A std mutex: it is held for moments, and no code of the caller's runs meanwhile.
    state: Mutex<State>,
    sink: Sink<E>,
    /// Cancelled when the shutdown begins; each attempt has a child of it.
    pub(super) stop: CancellationToken,
    /// A permit for each task that may be alive; closed with the supervisor.
    pub(super) room: Arc<Semaphore>,
    pub(super) runtime: Handle,
    /// Rung when the last task has gone.
    gone: Notify,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// Whether a task that comes to be abortable now is to be aborted.
    aborting: bool,
    spawned: u64,
    /// Those that are alive, by number. A tree, and not a hash map, gives memory back when a crowd has gone.
    tasks: BTreeMap<u64, Entry>,
    /// From the beginning of the shutdown.
    report: Report,
}

/// What is known of a task that is alive.
struct Entry {
    name: Arc<str>,
    attempt: u32,
    began: Instant,
    /// Nothing in the moment between its entry and its spawn.
    abort: Option<AbortHandle>,
    _place: OwnedSemaphorePermit,
}

/// How a task ended.
#[derive(Clone, Copy)]
pub(super) enum Ended {
    Finished,
    Failed,
    Panicked,
    Aborted,
}

impl<E> Shared<E> {
    pub(super) fn new(places: usize, sink: Sink<E>) -> Self {
        Self {
            state: Mutex::default(),
            sink,
            stop: CancellationToken::new(),
            room: Arc::new(Semaphore::new(places)),
            runtime: Handle::current(),
            gone: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alive(&self) -> Vec<String> {
        self.lock().tasks.values().map(|entry| entry.name.to_string()).collect()
    }

    /// Unless it has gone already. If everybody was aborted since it came in, it is aborted, too.
    pub(super) fn can_be_aborted(&self, id: u64, abort: AbortHandle) {
        let mut state = self.lock();
        let aborting = state.aborting;
        let Some(entry) = state.tasks.get_mut(&id) else { return };
        if aborting {
            drop(state);
            abort.abort();
        } else {
            entry.abort = Some(abort);
        }
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.lock().closed = true;
    }

    pub(super) fn abort_all(&self) {
        let mut state = self.lock();
        state.aborting = true;
        let aborts: Vec<AbortHandle> = state.tasks.values().filter_map(|entry| entry.abort.clone()).collect();
        drop(state);
        for abort in aborts {
            abort.abort();
        }
    }

    /// Waits until the last task has gone, or so long. It needs a timer only if it has to wait.
    pub(super) async fn all_gone_within(&self, time: Duration) {
        let all_gone = async {
            while !self.lock().tasks.is_empty() {
                // One waiter, and a bell that stays rung: nothing is missed between the look and the wait.
                self.gone.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = all_gone => {}
            () = async { sleep(time).await } => {}
        }
    }

    pub(super) fn report(&self) -> Report {
        let mut state = self.lock();
        let mut report = take(&mut state.report);
        report.stuck = state.tasks.values().map(|entry| entry.name.to_string()).collect();
        report
    }

    fn tell(&self, incident: Incident<E>) {
        // A sink that panics is to cost neither the task its restart nor the shutdown its end.
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(incident))).is_err() {
            self.lock().report.untold += 1;
        }
    }
}

/// A task's place in its supervisor.
pub(super) struct Here<E> {
    pub(super) shared: Arc<Shared<E>>,
    pub(super) id: u64,
}

impl<E> Clone for Here<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), id: self.id }
    }
}

impl<E> Here<E> {
    /// Nothing, if the supervisor has been closed since the place was given.
    pub(super) fn enter(
        shared: &Arc<Shared<E>>,
        name: Arc<str>,
        place: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let mut state = shared.lock();
        if state.closed {
            return None;
        }
        let id = state.spawned;
        state.spawned += 1;
        state.tasks.insert(id, Entry { name, attempt: 0, began: Instant::now(), abort: None, _place: place });
        drop(state);
        Some(Self { shared: shared.clone(), id })
    }

    /// One attempt and no other.
    pub(super) async fn once<W, F>(self, work: W) -> Ended
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = Result<(), E>>,
    {
        let (ended, cause) = judged(self.attempt(work).await, false);
        if let Some(cause) = cause {
            self.tell(cause, self.ran(), Next::Ends);
        }
        ended
    }

    /// Attempts, until one ends as it should, or there have been too many, or the shutdown begins.
    // ANCHOR: again
    pub(super) async fn again<W, F>(self, mut work: W, restart: Restart) -> Ended
    where
        W: FnMut(CancellationToken) -> F,
        F: Future<Output = Result<(), E>>,
    {
        let mut restarts = Restarts::new(restart.backoff(), self.id);
        let stop = self.shared.stop.clone();
        loop {
            let result = self.attempt(&mut work).await;
            let ran = self.ran();
            let always = matches!(restart, Restart::Always(_)) && !stop.is_cancelled();
            let (ended, Some(cause)) = judged(result, always) else { return Ended::Finished };
            if stop.is_cancelled() {
                self.tell(cause, ran, Next::Ends);
                return ended;
            }
            let Some(after) = restarts.after(ran) else {
                self.tell(cause, ran, Next::GivesUp);
                return ended;
            };
            self.tell(cause, ran, Next::Restarts { after });
            tokio::select! {
                biased;
                () = stop.cancelled() => return ended,
                () = sleep(after) => {}
            }
        }
    }
    // ANCHOR_END: again

    async fn attempt<F: Future>(
        &self,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> thread::Result<F::Output> {
        if let Some(entry) = self.shared.lock().tasks.get_mut(&self.id) {
            entry.attempt = entry.attempt.saturating_add(1);
            entry.began = Instant::now();
        }
        let stop = self.shared.stop.child_token();
        // `work` itself may panic, and so may the destructor of what it made: both are caught here.
        AssertUnwindSafe(async move { work(stop).await }).catch_unwind().await
    }

    fn ran(&self) -> Duration {
        self.shared.lock().tasks.get(&self.id).map_or(Duration::ZERO, |entry| entry.began.elapsed())
    }

    fn tell(&self, cause: Cause<E>, ran: Duration, next: Next) {
        let known =
            self.shared.lock().tasks.get(&self.id).map(|entry| (entry.name.to_string(), entry.attempt));
        let (name, attempt) = known.unwrap_or_default();
        self.shared.tell(Incident { name, attempt, ran, cause, next });
    }

    /// The last that a task does, when everything that it held has been dropped.
    fn leave(&self, mut ended: Ended, dropped: thread::Result<()>) {
        if let Err(payload) = dropped {
            self.tell(Cause::Panicked(Panic::new(payload)), self.ran(), Next::Ends);
            ended = Ended::Panicked;
        }
        let mut state = self.shared.lock();
        let entry = state.tasks.remove(&self.id);
        if let (Some(entry), true) = (&entry, state.closed) {
            let report = &mut state.report;
            let names = match ended {
                Ended::Finished => &mut report.finished,
                Ended::Failed => &mut report.failed,
                Ended::Panicked => &mut report.panicked,
                Ended::Aborted => &mut report.aborted,
            };
            names.push(entry.name.to_string());
        }
        let last = state.closed && state.tasks.is_empty();
        drop(state);
        // Its place is free from here on; whoever waits for it is woken, and that is not to happen under the lock.
        drop(entry);
        if last {
            self.shared.gone.notify_one();
        }
    }
}

/// How an attempt ended, and what there is to tell of it.
fn judged<E>(result: thread::Result<Result<(), E>>, always: bool) -> (Ended, Option<Cause<E>>) {
    match result {
        Ok(Ok(())) => (Ended::Finished, always.then_some(Cause::Returned)),
        Ok(Err(error)) => (Ended::Failed, Some(Cause::Failed(error))),
        Err(payload) => (Ended::Panicked, Some(Cause::Panicked(Panic::new(payload)))),
    }
}

pin_project! {
    /// A task, of which the supervisor learns the end, whichever it is: a return, a panic, an abort, or the end of the
    /// runtime.
    pub(super) struct Guarded<F, E> {
        // Nothing when it has left.
        #[pin]
        run: Option<F>,
        here: Here<E>,
    }

    impl<F, E> PinnedDrop for Guarded<F, E> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.run.is_some() {
                leave(this.run, this.here, Ended::Aborted, Ok(()));
            }
        }
    }
}

impl<F, E> Guarded<F, E> {
    pub(super) const fn new(here: Here<E>, run: F) -> Self {
        Self { run: Some(run), here }
    }
}

/// Drops what the task holds, and then lets the supervisor know. In this order: a shutdown waits for destructors.
fn leave<F, E>(mut run: Pin<&mut Option<F>>, here: &Here<E>, ended: Ended, polled: thread::Result<()>) {
    let dropped = catch_unwind(AssertUnwindSafe(|| run.set(None)));
    here.leave(ended, polled.and(dropped));
}

impl<F: Future<Output = Ended>, E> Future for Guarded<F, E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(run) = this.run.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        // What work and its future panic with is caught further inside; here it is the destructor of `work`.
        match catch_unwind(AssertUnwindSafe(|| run.poll(cx))) {
            Ok(polled) => leave(this.run, this.here, ready!(polled), Ok(())),
            Err(payload) => leave(this.run, this.here, Ended::Panicked, Err(payload)),
        }
        Poll::Ready(())
    }
}
