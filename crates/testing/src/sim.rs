//! A test in a simulated run: Go's `testing/synctest`, for tokio.
//!
//! [`sim()`] runs a test body on a current-thread runtime with a paused clock. Beside the test's own assertions it fails
//! the test on whatever an async program does wrong without saying so:
//!
//! | complaint | what has happened |
//! |---|---|
//! | deadlock | everything waits, and nothing is left that could wake anybody; with the lines of the awaits |
//! | lost wake-up | the body waits for something that has happened |
//! | endless | timers keep firing, or one is far away, and the body had not ended by the horizon |
//! | stuck | the thread blocks or computes without end: told by a watcher in real time |
//! | blocked | the thread slept in the middle of a poll, for 100 ms, or for a lock a second |
//! | task panicked | a task panicked that nobody awaited, and the test had not announced it |
//! | leak | tasks are alive when the body has ended |
//! | never awaited, unread error | see [`must`](crate::must) |
//! | snoozed | see [`snooze`] |
//!
//! A panic counts as awaited if somebody waited for the task when it panicked: the body, a set or a `join!` in it, or a
//! task of [`Sim::spawn`]. Stable tokio tells no more. Who looks at a handle only later, or from a task of another origin,
//! announces the panic with [`Sim::expect_panic`].
//!
//! What it can't see: tasks on other runtimes and in a `LocalSet`; blocking threads that run on, and their panics; a panic
//! that is thrown again with `resume_unwind`, of which no hook hears, nor any panic at all once the program has set a hook
//! of its own; errors that a handle gave and nobody read, for which there is [`must_read`](crate::must_read()); on systems
//! without `/proc`, a nap of the thread. `tokio::select!` without `biased` draws its first arm from a seed that stable tokio
//! does not let anybody set. Sockets work, but the paused clock does not wait for them: see [`real_io`](crate::real_io).

use crate::{
    bell::Bell,
    complaints::{self, Place},
    panics::Panic,
    simulation::{self, End, Run, Setting, Waits},
    snooze, stacks,
    stuck::{Patience, Progress, Watched, watched},
};
use common::{Recorder, Trace, draw, draw::Terminal};
use std::{
    fmt,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

pub use crate::complaints::{Complaint, Kind};

/// Runs a test body in a [`Simulation`] as it comes, and gives what the body gives.
///
/// # Panics
/// If there is anything to complain of, with the timeline of what was recorded.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// testing::sim(async |sim| {
///     let start = Instant::now();
///     let task = sim.spawn("nap", sleep(Duration::from_secs(1800)));
///     sim.settle().await; // it sleeps by now, and no time has passed
///     assert_eq!(start.elapsed(), Duration::ZERO);
///     task.await.unwrap();
///     assert_eq!(start.elapsed(), Duration::from_secs(1800));
/// });
/// ```
#[track_caller]
pub fn sim<T: Send + 'static>(body: impl AsyncFnOnce(Sim) -> T + Send + 'static) -> T {
    Simulation::new().run(body)
}

/// How a body is to be run.
#[derive(Debug, Clone)]
#[must_use = "it runs nothing until `run` or `check`"]
pub struct Simulation {
    seed: u64,
    horizon: Duration,
    grace: Duration,
    patience: Duration,
    /// No more threads for `spawn_blocking` than these; nothing: tokio's 512.
    blocking_threads: Option<NonZeroUsize>,
    /// Places of panics that are somebody's, whether or not that is seen in this run.
    joined: Vec<String>,
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulation {
    /// Seed 0, a horizon of an hour, no grace, a patience of five seconds.
    pub const fn new() -> Self {
        Self {
            seed: 0,
            horizon: Duration::from_secs(3600),
            grace: Duration::ZERO,
            patience: Duration::from_secs(5),
            blocking_threads: None,
            joined: Vec::new(),
        }
    }

    /// From which [`Sim::random`] draws.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The virtual time after which a body that has not ended is given up.
    pub const fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// The virtual time that tasks get to end, once the body has.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Panics at these places are somebody's.
    pub(crate) fn joined(mut self, joined: Vec<String>) -> Self {
        self.joined = joined;
        self
    }

    /// The real time without progress after which the thread counts as stuck. On a busy machine, and where the system does
    /// not tell what a thread does, four times that, and at least 20 s.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Gives the runtime no more threads for `spawn_blocking` than these: jobs that wait for jobs are found with two of
    /// them, where tokio's 512 are seldom full in a test. The [`patience`](Self::patience) then counts also while the
    /// runtime only waits for those threads, for which it has 90 s otherwise; choose one that is longer than a job takes.
    ///
    /// # Examples
    /// ```
    /// use std::{num::NonZeroUsize, time::Duration};
    /// use testing::sim::{Kind, Simulation};
    /// use tokio::{runtime::Handle, task::spawn_blocking};
    ///
    /// let one = NonZeroUsize::MIN;
    /// let found = Simulation::new().blocking_threads(one).patience(Duration::from_millis(100)).check(async |_| {
    ///     spawn_blocking(|| Handle::current().block_on(spawn_blocking(|| 7))).await
    /// });
    /// assert!(found.is_err_and(|failure| failure.has(Kind::Stuck)));
    /// ```
    pub const fn blocking_threads(mut self, threads: NonZeroUsize) -> Self {
        self.blocking_threads = Some(threads);
        self
    }

    /// Runs `body` on a thread of its own, and gives what it gives.
    ///
    /// # Panics
    /// With the [`Failure`], if there is one.
    #[track_caller]
    pub fn run<T: Send + 'static>(self, body: impl AsyncFnOnce(Sim) -> T + Send + 'static) -> T {
        match self.check(body) {
            Ok(value) => value,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Like [`run`](Self::run), for those who want the failure and no panic.
    ///
    /// # Errors
    /// All that there was to complain of. A body that is stuck is left to its thread, which goes on.
    pub fn check<T: Send + 'static>(
        self,
        body: impl AsyncFnOnce(Sim) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let title = std::thread::current().name().unwrap_or("a simulated run").to_owned();
        let progress = Arc::new(Progress::default());
        let mut patience = Patience::of(self.patience);
        if self.blocking_threads.is_some() {
            patience.parked = patience.idle;
        }
        let mut naps = Vec::new();
        let thread = title.clone();
        let inside = move || self.observe(&title, body);
        let outcome = watched(&thread, &progress, patience, inside, |slept| {
            naps.push(Complaint { kind: Kind::Blocked, what: blocked(slept) });
        });
        let (value, mut failure) = match outcome {
            Watched::Ended(observed) => observed,
            Watched::Stuck(seen) => (None, Failure::new(&progress, &thread, Kind::Stuck, seen)),
            Watched::Died => {
                let what = String::from("the run itself panicked; see standard error");
                (None, Failure::new(&progress, &thread, Kind::Failed, what))
            }
            Watched::NoThread(error) => {
                let what = format!("no thread to run the body on: {error}");
                (None, Failure::new(&progress, &thread, Kind::Failed, what))
            }
        };
        failure.complaints.extend(naps);
        match value {
            Some(value) if failure.complaints.is_empty() => Ok(value),
            _ => Err(failure),
        }
    }

    /// Runs `body` here, without a watcher.
    pub(crate) fn observe<T>(&self, title: &str, body: impl AsyncFnOnce(Sim) -> T) -> (Option<T>, Failure) {
        let shared = Arc::new(Shared::default());
        let (idle, dead) = (shared.clone(), shared.clone());
        let setting = Setting {
            horizon: self.horizon,
            moves: u64::MAX,
            grace: self.grace,
            blocking_threads: self.blocking_threads,
            io: true,
            on_idle: Box::new(move || {
                snooze::look();
                idle.release();
            }),
            autopsy: Box::new(move || dead.autopsy()),
        };
        let (shared_in, seed) = (shared.clone(), self.seed);
        let (run, mut told) = complaints::collect(|| {
            simulation::run(title, setting, async move |recorder| {
                snooze::begin();
                body(Sim { recorder, shared: shared_in, seed }).await
            })
        });
        let Run { end, leaked, trace, waits, panics, .. } = run;
        let mut complaints = Vec::new();
        let mut complain = |kind, what| complaints.push(Complaint { kind, what });
        let value = match end {
            End::Returned(value) => Some(value),
            End::Panicked(message) => {
                let place = panics.iter().rev().find(|panic| panic.message == message);
                let place = place.map(|panic| format!(" at {}", panic.place)).unwrap_or_default();
                complain(Kind::Failed, format!("the body panicked{place}: {message}"));
                None
            }
            End::Deadlock => {
                match waits {
                    Some(Waits::NoMore) => complain(
                        Kind::LostWakeUp,
                        String::from(
                            "the body waited for something that has happened: it was not woken, and polled once \
                             again it went on",
                        ),
                    ),
                    Some(Waits::At(lines)) => {
                        let (kind, what) = shared.deadlock(&lines, leaked);
                        complain(kind, what);
                    }
                    None => {}
                }
                None
            }
            End::Endless => {
                let horizon = draw::time(self.horizon);
                complain(
                    Kind::Endless,
                    format!(
                        "timers keep firing, or one is far away: the body had not ended after {horizon} of virtual time \
                         (`Simulation::horizon` sets that)"
                    ),
                );
                None
            }
        };
        let unseen = |panic: &&Panic| {
            panic.in_a_task
                && !panic.awaited
                && !self.joined.contains(&panic.place)
                && !shared.announced(panic)
                && !panic.was_caught()
        };
        for panic in panics.iter().filter(unseen) {
            complain(
                Kind::TaskPanicked,
                format!(
                    "a task panicked at {}: {}; nobody was seen to await it (`sim.expect_panic(..)` announces one that \
                     is meant)",
                    panic.place, panic.message
                ),
            );
        }
        if leaked > 0 && value.is_some() {
            complain(Kind::Leak, shared.leak(leaked));
        }
        complaints.append(&mut told);
        let is_joined = |panic: &&Panic| panic.in_a_task && (panic.awaited || panic.was_caught());
        let joined = panics.iter().filter(is_joined).map(|panic| panic.place.clone()).collect();
        (value, Failure { title: title.to_owned(), complaints, trace, joined })
    }
}

/// What is said of a thread that slept in the middle of a poll.
pub(crate) fn blocked(slept: Duration) -> String {
    format!(
        "the thread slept for {} ms or longer in the middle of a poll, and no other future could run: a call that is not \
         async (a std lock, channel, file, sleep or join); `spawn_blocking` is for those",
        slept.as_millis()
    )
}

/// All that there is to complain of in a run.
#[derive(Debug)]
pub struct Failure {
    /// The run, by the name of its thread: the test's.
    pub title: String,
    /// At least one.
    pub complaints: Vec<Complaint>,
    /// What was recorded.
    pub trace: Trace,
    /// Where tasks panicked that somebody awaited, or that caught it.
    pub(crate) joined: Vec<String>,
}

impl Failure {
    fn new(progress: &Progress, title: &str, kind: Kind, what: String) -> Self {
        let trace = progress.recorder().map(|recorder| recorder.trace()).unwrap_or_default();
        Self {
            title: title.to_owned(),
            complaints: vec![Complaint { kind, what }],
            trace,
            joined: Vec::new(),
        }
    }

    /// Whether one of the complaints is of this kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.complaints.iter().any(|complaint| complaint.kind == kind)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.title)?;
        for Complaint { kind, what } in &self.complaints {
            write!(f, "\n- {}: {what}", kind.word())?;
        }
        if !self.trace.lanes.is_empty() {
            write!(f, "\n\n{}", draw::terminal(&self.trace, Terminal::default()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The run, for its body. Clones are the same run.
#[derive(Debug, Clone)]
pub struct Sim {
    recorder: Recorder,
    shared: Arc<Shared>,
    seed: u64,
}

impl Sim {
    /// Waits until everything else waits: until no task can run any more before the clock moves. No time passes.
    ///
    /// trio calls it `wait_all_tasks_blocked`, Go `synctest.Wait`.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    pub async fn settle(&self) {
        let (release, released) = oneshot::channel();
        self.shared.lock().settling.push(release);
        // An error would mean that the run is gone, and this with it.
        drop(released.await);
    }

    /// Spawns a task that is named in a deadlock, in a leak, and in the timeline.
    #[expect(
        clippy::missing_panics_doc,
        reason = "what could panic is the task, and only if its work had ended without a value"
    )]
    #[track_caller]
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let name = name.into();
        let (send, mut receive) = oneshot::channel();
        let work: Work = Box::pin(async move {
            send.send(future.await).ok();
        });
        let task =
            Arc::new(Task { name: name.clone(), spawned: Place::of_caller(), work: Mutex::new(Some(work)) });
        self.shared.lock().tasks.push(task.clone());
        // The lane is outside: inside, its waker would hide the lines from the autopsy.
        let lane = self.recorder.lane(name, Slot { task, bell: Arc::default() });
        #[expect(clippy::disallowed_methods, reason = "the caller owns it, and the run counts it")]
        tokio::spawn(async move {
            lane.await;
            receive.try_recv().expect("the work sends before it ends")
        })
    }

    /// Announces that a task will panic with a message that contains `part`, and that this is not a failure.
    ///
    /// Not needed where the body, or a task of [`spawn`](Self::spawn), is awaiting the task when it panics. Whoever looks
    /// at the handle only later, or from a task of another origin, is not seen.
    pub fn expect_panic(&self, part: impl Into<String>) {
        self.shared.lock().announced.push(part.into());
    }

    /// Runs something that blocks the thread, on purpose: to read a file, to start a process.
    pub fn allow_blocking<T>(&self, blocking: impl FnOnce() -> T) -> T {
        /// Also when it panics.
        struct Forbid(Arc<Progress>);
        impl Drop for Forbid {
            fn drop(&mut self) {
                self.0.allow(false);
            }
        }
        let progress = Progress::here();
        progress.allow(true);
        let _forbid = Forbid(progress);
        blocking()
    }

    /// A source of random numbers that follows from the seed; each call gives the same one.
    #[must_use]
    pub fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }

    /// Where lanes of the timeline are recorded.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that was spawned by name.
struct Task {
    name: String,
    spawned: Place,
    /// `None` once it has ended. The lock is held for a poll, and by the post-mortem when nothing is polled any more.
    work: Mutex<Option<Work>>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("spawned", &self.spawned)
            .finish_non_exhaustive()
    }
}

/// Polls the work where the post-mortem can find it; drops it, when it is dropped.
struct Slot {
    task: Arc<Task>,
    /// Hears of the end of a task that this one awaits.
    bell: Arc<Bell>,
}

impl Slot {
    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.task.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Slot {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Taken out, so that a panic drops it, and that it may abort itself.
        let mut work = self.work().take();
        let poll = match work.as_mut() {
            Some(running) => self.bell.poll(running.as_mut(), cx),
            None => return Poll::Ready(()),
        };
        if poll.is_pending() {
            *self.work() = work;
        }
        poll
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The guard is gone before the work is dropped.
        let work = self.work().take();
        drop(work);
    }
}

/// What the handle, the hook and the autopsy share.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    settling: Vec<oneshot::Sender<()>>,
    tasks: Vec<Arc<Task>>,
    announced: Vec<String>,
    /// The named tasks that were alive at the end.
    alive: Vec<Found>,
}

/// What the autopsy found of a task.
#[derive(Debug)]
struct Found {
    /// Its name, and where it was spawned.
    who: String,
    waits: Waits,
}

impl Found {
    /// Like "`nap` (src/bed.rs:12) waits at src/bed.rs:3".
    fn words(&self) -> String {
        match &self.waits {
            Waits::At(lines) if !lines.is_empty() => format!("{} waits at {}", self.who, lines.join(" and ")),
            _ => self.who.clone(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything waits: those who settle go on.
    fn release(&self) {
        let settled = std::mem::take(&mut self.lock().settling);
        for settle in settled {
            // It errs if the settling was dropped.
            settle.send(()).ok();
        }
    }

    fn announced(&self, panic: &Panic) -> bool {
        self.lock().announced.iter().any(|part| panic.message.contains(part))
    }

    /// Looks at the named tasks that are alive. To see where they wait, each is polled once more.
    fn autopsy(&self) {
        let tasks = self.lock().tasks.clone();
        for task in tasks {
            let mut work = task.work.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(work) = work.as_mut() else { continue };
            let mut cx = Context::from_waker(Waker::noop());
            let poll = catch_unwind(AssertUnwindSafe(|| stacks::poll(work.as_mut(), &mut cx)));
            let waits = match poll {
                Ok((Poll::Pending, waiting)) => Waits::At(waiting.lines()),
                Ok((Poll::Ready(()), _)) | Err(_) => Waits::NoMore,
            };
            self.lock().alive.push(Found { who: format!("`{}` ({})", task.name, task.spawned), waits });
        }
    }

    fn leak(&self, leaked: usize) -> String {
        let mut named: Vec<String> = self.lock().alive.iter().map(Found::words).collect();
        let nameless = leaked.saturating_sub(named.len());
        if nameless > 0 {
            named.push(format!("{nameless} without a name (`sim.spawn` gives one)"));
        }
        let (tasks, are) = if leaked == 1 { ("task", "is") } else { ("tasks", "are") };
        format!("{leaked} {tasks} {are} alive when the body has ended: {}", named.join(", "))
    }

    /// Who waits where.
    fn deadlock(&self, body: &[String], alive: usize) -> (Kind, String) {
        let state = self.lock();
        let lost = state.alive.iter().find(|found| found.waits == Waits::NoMore);
        let (kind, mut told) = match lost {
            Some(found) => (
                Kind::LostWakeUp,
                format!(
                    "{} waited for something that has happened: it was not woken, and polled once again it went on",
                    found.who
                ),
            ),
            None => (
                Kind::Deadlock,
                String::from("everything waits, and nothing is left that could wake anybody"),
            ),
        };
        let body = Found { who: String::from("the body"), waits: Waits::At(body.to_vec()) };
        for found in [&body].into_iter().chain(&state.alive) {
            told.push_str(&format!("\n    {}", found.words()));
        }
        match alive.saturating_sub(state.alive.len()) {
            0 => {}
            1 => told
                .push_str("\n    and a task without a name (`sim.spawn` gives one, and says where it waits)"),
            nameless => told.push_str(&format!(
                "\n    and {nameless} tasks without a name (`sim.spawn` gives one, and says where they wait)"
            )),
        }
        (kind, told)
    }
}
