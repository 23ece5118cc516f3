//! Start in order, stop in reverse, and say what became of each.
//!
//! Starlette's lifespan is a function around a `yield`: what fails before it leaves open what was opened so far, what is
//! cancelled after it is interrupted, and nothing has a bound. `with_graceful_shutdown` of axum is one part of the way: it
//! waits without a bound, for the server alone. A [`Lifespan`] is the whole of it: each component has a bound to start
//! in and one to stop in, all of them together have a grace, and the [`Report`] names who did not keep them.

mod report;
mod requests;
mod running;

pub use report::{Component, End, Failure, NotStarted, Reason, Report, StartError};
pub use requests::{Signals, signals};

use futures_util::{FutureExt as _, Stream};
use requests::Requests;
use running::{Running, Told};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    time::Duration,
};
use tokio::{
    select,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::close::panic_message;

/// How long the end waits for the destructors of each component that it has aborted. Who has not gone by then blocks its
/// thread, and no abort can stop it.
pub const AFTER_ABORT: Duration = Duration::from_secs(1);

/// How long one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To start. A start that has not ended by then is dropped, and the program does not start.
    pub start: Duration,
    /// To stop, once it is asked. Who has not ended by then is aborted, so that the others have their time, too. Zero:
    /// not asked, but aborted.
    pub stop: Duration,
}

/// What others may expect of the program: for the route that a load balancer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything has started.
    Starting,
    /// Everything has, and nothing was asked to stop.
    Ready,
    /// The end has begun, before anything has been asked to stop; or the [`Lifespan`] was dropped.
    Stopping,
}

/// The life of a program: its components start one after the other, and stop in reverse.
///
/// Make one in `main`. Take an [`ExitStack`](crate::ExitStack) for what one function opens and closes, and `Scope` of the
/// chapter before for work that is begun while the program runs.
///
/// # Source
/// Starlette's lifespan; `Application` of OTP, whose supervisors stop their children in reverse and give each a
/// `shutdown` time; `terminationGracePeriodSeconds` of Kubernetes.
///
/// # Examples
/// ```
/// use futures_util::stream;
/// use resources::lifespan::{Lifespan, Limits};
/// use std::{convert::Infallible, time::Duration};
/// use tokio::time::sleep;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let second = Duration::from_secs(1);
/// let limits = Limits { start: second, stop: second };
/// // In a program: `signals()?`.
/// let asked = stream::once(async { sleep(Duration::from_secs(60)).await; "SIGTERM" });
///
/// let report = Lifespan::new(Duration::from_secs(25))
///     .run(asked, async |app| {
///         let pool = app.open("pool", limits, async { Ok::<_, Infallible>("a pool") }, |_pool| async {
///             sleep(Duration::from_millis(20)).await;
///             Ok::<_, Infallible>(())
///         });
///         let pool = pool.await?;
///         app.start("workers", limits, async move {
///             Ok::<_, Infallible>(((), async move |stop: tokio_util::sync::CancellationToken| {
///                 // It has the pool, and stops before the pool does.
///                 let _pool = pool;
///                 stop.cancelled().await;
///                 sleep(second * 2).await; // Too long.
///                 Ok::<_, Infallible>(())
///             }))
///         })
///         .await
///     })
///     .await?;
/// assert_eq!(
///     report.to_string(),
///     "stopped for SIGTERM in 1.02s: workers aborted after 1s, pool finished in 20ms"
/// );
/// assert_eq!(report.exit_status(), 1);
/// # Ok::<(), resources::lifespan::NotStarted>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing starts until it is run"]
#[derive(Debug)]
pub struct Lifespan {
    /// For the whole of the end: what kills the process from outside, a minute later, does not look at components.
    grace: Duration,
    lame_duck: Duration,
    phase: Told,
}

impl Lifespan {
    /// From the first request to stop on, the end takes no longer than `grace`, and what the destructors of aborted
    /// components take, which is next to nothing if they don't block: for each no more than [`AFTER_ABORT`].
    ///
    /// Choose it shorter than the time after which the process is killed, and longer than the limits of all components
    /// together: who comes last is aborted unasked when the others have used it up.
    pub fn new(grace: Duration) -> Self {
        Self { grace, lame_duck: Duration::ZERO, phase: Told::new() }
    }

    /// So long it works on as before once it is [`Phase::Stopping`], if it was ready: a load balancer that asks for the
    /// phase every so often still sends requests until then. It is a part of the grace.
    ///
    /// # Panics
    /// If it is not shorter than the grace: no component would have any time to stop in.
    #[track_caller]
    pub fn lame_duck(mut self, lame_duck: Duration) -> Self {
        let shorter = lame_duck.is_zero() || lame_duck < self.grace;
        assert!(
            shorter,
            "the lame duck is to be shorter than the grace of {:?}, not {lame_duck:?}",
            self.grace
        );
        self.lame_duck = lame_duck;
        self
    }

    /// Where the phase can be read, and its change waited for.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Starts the components, runs until it is asked to stop or one of them ends, stops them in reverse.
    ///
    /// # Shape
    /// `start` starts them, each with what those before it have given, and may await other things: it is
    /// [`Phase::Ready`] when `start` has returned. Each item of `stops`, such as [`signals()`], asks to stop, and is the
    /// reason; a stream that ends asks no more. The first begins the end, in whatever phase: a `start` that is at work is
    /// dropped at its await. The second ends all waiting: what is left is aborted. A component that returns, fails or
    /// panics before it was asked to stop begins the end, too.
    ///
    /// In the end, the phase is changed first. Then one component after the other, the last to start first, is asked to
    /// stop through its token, and is given what it may take, or what is left of the grace; is aborted if it has not ended
    /// by then; and is gone, destructors included, before the next is asked. An abort reaches the component's own task. What
    /// that has spawned, and does not own, runs on: `axum::serve` spawns its connections so.
    ///
    /// # Errors
    /// [`NotStarted`], when a component could not be started, with the report on those that had been. Also when a `start`
    /// that is dropped at a request panics in a destructor: then the report's reason is that request.
    ///
    /// # Panics
    /// Before anything starts, outside a tokio runtime or without its timers. Panics of components and of `start` come
    /// back in the report or the error.
    ///
    /// # Cancel safety
    /// Dropped, also before its first poll, it is [`Phase::Stopping`], and everything is aborted; nothing runs on, but
    /// nobody waits for the destructors, and they run in no order: on several threads that of a pool may run before that
    /// of the workers that use it. What is lost is all that needs an await: nothing is drained, nothing is closed, and
    /// there is no report. So don't drop it, but send a request: run to its end, it stops in reverse.
    pub async fn run(
        self,
        stops: impl Stream<Item = &'static str>,
        start: impl AsyncFnOnce(&mut Starting) -> Result<(), StartError>,
    ) -> Result<Report, NotStarted> {
        // Without timers nothing would have a bound: found out now, not at the end.
        drop(sleep(Duration::ZERO));
        // ANCHOR: run
        let mut stops = pin!(stops);
        let mut stops = Requests::new(stops.as_mut());
        let mut starting = Starting { running: Running::new(self.phase) };
        let ended = starting.running.first_ended();
        let panicked = |payload| StartError::Panicked { name: "start", message: panic_message(payload) };
        // Called in there: it may panic before it has given its future.
        let mut work = Box::pin(AssertUnwindSafe(async { start(&mut starting).await }).catch_unwind());
        let started = select! {
            // Who is asked to stop starts nothing more.
            biased;
            why = stops.nth(1) => Err(Reason::Asked(why)),
            who = ended.wait() => Err(Reason::Ended(who)),
            started = &mut work => Ok(started.unwrap_or_else(|payload| Err(panicked(payload)))),
        };
        // A destructor in it may panic: then there is still all that has started.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(work))).map_err(panicked);
        let mut running = starting.running;
        let (reason, error, lame_duck) = match started {
            Ok(Ok(())) => {
                running.is_ready();
                let reason = select! {
                    biased;
                    why = stops.nth(1) => Reason::Asked(why),
                    who = ended.wait() => Reason::Ended(who),
                };
                (reason, None, self.lame_duck)
            }
            Ok(Err(error)) => (Reason::NotStarted, Some(error), Duration::ZERO),
            Err(reason) => (reason, dropped.err(), Duration::ZERO),
        };
        let report = running.stop(reason, lame_duck, self.grace, &mut stops).await;
        // ANCHOR_END: run
        match error {
            None => Ok(report),
            Some(error) => Err(NotStarted { error, report: Box::new(report) }),
        }
    }
}

/// The program while its components start: what [`Lifespan::run`] gives to its `start`.
#[derive(Debug)]
pub struct Starting {
    running: Running,
}

impl Starting {
    /// Where the phase can be read: for the component that answers the load balancer.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.running.phase()
    }

    /// Starts a component that runs: a server, a worker, a refresher.
    ///
    /// # Shape
    /// `starting` gives what others need of it, and the function that runs it. That is called with a token, which is
    /// cancelled when the component is to stop, and runs as a task, from now on. It ends when it has finished what it had
    /// begun: to drain and to close is its business.
    ///
    /// # Errors
    /// [`StartError`], when `starting` fails, panics, or takes longer than [`Limits::start`]. Give it back: what has
    /// started before is stopped then.
    ///
    /// # Cancel safety
    /// Dropped before `starting` has ended, that is dropped, and nothing runs. What it has opened by then its destructors
    /// have to give back.
    pub async fn start<T, R, F, E, D>(
        &mut self,
        name: &'static str,
        limits: Limits,
        starting: impl Future<Output = Result<(T, R), E>>,
    ) -> Result<T, StartError>
    where
        R: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), D>> + Send + 'static,
        E: Into<Failure>,
        D: Into<Failure>,
    {
        let (value, run) = self.step(name, limits.start, starting).await?;
        // No await in between: what has started is in the books.
        self.running.add(name, limits.stop, run);
        Ok(value)
    }

    /// Opens what does not run by itself, but has to be closed: a pool, a client, a file. Gives `opening`'s value, and
    /// `close` a clone of it in the end.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn open<T, C, F, E, D>(
        &mut self,
        name: &'static str,
        limits: Limits,
        opening: impl Future<Output = Result<T, E>>,
        close: C,
    ) -> Result<T, StartError>
    where
        T: Clone + Send + 'static,
        C: FnOnce(T) -> F + Send + 'static,
        F: Future<Output = Result<(), D>> + Send + 'static,
        E: Into<Failure>,
        D: Into<Failure>,
    {
        let value = self.step(name, limits.start, opening).await?;
        let theirs = value.clone();
        self.running.add(name, limits.stop, async move |stop: CancellationToken| {
            stop.cancelled().await;
            close(theirs).await
        });
        Ok(value)
    }

    /// Does what has to be done before the program is ready, and leaves nothing to be stopped: a migration, a warm-up.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn step<T, E: Into<Failure>>(
        &mut self,
        name: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StartError> {
        // In the block, the work is dropped before the catch is over, and its error converted.
        let work = async { timeout(limit, work).await.map(|ended| ended.map_err(Into::into)) };
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(source))) => Err(StartError::Failed { name, source }),
            Ok(Err(_elapsed)) => Err(StartError::TimedOut { name, limit }),
            Err(payload) => Err(StartError::Panicked { name, message: panic_message(payload) }),
        }
    }
}
