use super::{AFTER_ABORT, Component, End, Failure, Phase, Reason, Report, requests::Requests};
use crate::close::panic_message;
use futures_util::{FutureExt as _, Stream};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    select,
    sync::watch,
    task::JoinError,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// What has started, in that order. Dropped, it aborts all of it.
#[derive(Debug)]
pub(super) struct Running {
    began: Instant,
    /// When everything had started, counted from there.
    ready: Option<Duration>,
    phase: Told,
    components: Vec<Started>,
    first_ended: Arc<FirstEnded>,
}

#[derive(Debug)]
struct Started {
    name: &'static str,
    /// How long it may take to stop.
    limit: Duration,
    /// When it had started, counted from the beginning.
    after: Duration,
    stop: CancellationToken,
    /// It owns the task: who drops the lifespan leaves nothing running.
    task: AbortOnDropHandle<Ended>,
}

/// How a task ended that was not aborted.
#[derive(Debug)]
struct Ended {
    /// Before it was asked to stop.
    by_itself: bool,
    end: End,
}

impl Running {
    pub(super) fn new(phase: Told) -> Self {
        let (began, first_ended) = (Instant::now(), Arc::default());
        Self { began, ready: None, phase, components: Vec::new(), first_ended }
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn first_ended(&self) -> Arc<FirstEnded> {
        self.first_ended.clone()
    }

    pub(super) fn is_ready(&mut self) {
        self.ready = Some(self.began.elapsed());
        self.phase.enter(Phase::Ready);
    }

    /// Runs what has started.
    pub(super) fn add<R, F, D>(&mut self, name: &'static str, limit: Duration, run: R)
    where
        R: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), D>> + Send + 'static,
        D: Into<Failure>,
    {
        // ANCHOR: add
        let stop = CancellationToken::new();
        // A child: a component that cancels its token stops itself, and not the bookkeeping.
        let (asked, theirs) = (stop.clone(), stop.child_token());
        let first_ended = self.first_ended.clone();
        let task = async move {
            // In there also the error is converted: whatever panics, that it has ended is told.
            let ended = AssertUnwindSafe(async { run(theirs).await.map_err(Into::into) });
            let end = match ended.catch_unwind().await {
                Ok(Ok(())) => End::Finished,
                Ok(Err(error)) => End::Failed(error),
                Err(payload) => End::Panicked(panic_message(payload)),
            };
            let by_itself = !asked.is_cancelled();
            if by_itself {
                first_ended.is(name);
            }
            Ended { by_itself, end }
        };
        let task = AbortOnDropHandle::new(Handle::current().spawn(task));
        // ANCHOR_END: add
        let after = self.began.elapsed();
        self.components.push(Started { name, limit, after, stop, task });
    }

    /// Stops everything in reverse.
    ///
    /// # Cancel safety
    /// What is left is aborted.
    pub(super) async fn stop<S: Stream<Item = &'static str>>(
        mut self,
        reason: Reason,
        lame_duck: Duration,
        grace: Duration,
        stops: &mut Requests<'_, S>,
    ) -> Report {
        let began = Instant::now();
        self.phase.enter(Phase::Stopping);
        if !lame_duck.is_zero() {
            patience(lame_duck, stops).await;
        }
        let mut components = Vec::with_capacity(self.components.len());
        // ANCHOR: stop
        while let Some(last) = self.components.last_mut() {
            let (its_turn, mut ended) = (Instant::now(), None);
            let limit = last.limit.min(grace.saturating_sub(began.elapsed()));
            if !limit.is_zero() {
                last.stop.cancel();
                ended = select! {
                    biased;
                    ended = &mut last.task => Some(ended),
                    () = patience(limit, stops) => None,
                };
            }
            if ended.is_none() {
                last.task.abort();
                // After the abort: for whoever else has the token.
                last.stop.cancel();
                ended = timeout(AFTER_ABORT, &mut last.task).await.ok();
            }
            components.push(last.gone(ended, its_turn.elapsed()));
            // Only now: until it has gone, a drop of all this aborts it.
            self.components.pop();
        }
        // ANCHOR_END: stop
        Report { reason, ready: self.ready, took: began.elapsed(), hurried: stops.second(), components }
    }
}

impl Started {
    fn gone(&self, ended: Option<Result<Ended, JoinError>>, took: Duration) -> Component {
        let (by_itself, end) = match ended {
            Some(Ok(ended)) => (ended.by_itself, ended.end),
            Some(Err(error)) => match error.try_into_panic() {
                // A destructor, when it was aborted.
                Ok(payload) => (false, End::Panicked(panic_message(payload))),
                Err(_aborted) => (false, End::Aborted),
            },
            None => (false, End::Stuck),
        };
        Component { name: self.name, started: self.after, by_itself, took, end }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Before anything is aborted.
        self.phase.enter(Phase::Stopping);
        // In reverse; on several threads each is dropped when its thread comes to it.
        while let Some(last) = self.components.pop() {
            last.task.abort();
            last.stop.cancel();
        }
    }
}

/// Where the phase is told. Dropped, also with a lifespan that was never polled, it says that this is the end.
#[derive(Debug)]
pub(super) struct Told(watch::Sender<Phase>);

impl Told {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// Who waits for the phase to change is woken when it does, and only then.
    fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| std::mem::replace(now, phase) != phase);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.enter(Phase::Stopping);
    }
}

/// Waits so long, or until a second request says that nobody has any patience left.
async fn patience<S: Stream<Item = &'static str>>(limit: Duration, stops: &mut Requests<'_, S>) {
    select! {
        biased;
        _ = stops.nth(2) => {}
        () = sleep(limit) => {}
    }
}

/// Which component was the first to end without having been asked.
#[derive(Debug, Default)]
pub(super) struct FirstEnded {
    name: OnceLock<&'static str>,
    told: CancellationToken,
}

impl FirstEnded {
    fn is(&self, name: &'static str) {
        // An error means that another one was first.
        self.name.set(name).ok();
        self.told.cancel();
    }

    pub(super) async fn wait(&self) -> &'static str {
        self.told.cancelled().await;
        self.name.get().copied().unwrap_or("a component")
    }
}
