//! Seeded schedules: the same tasks, in other orders.
//!
//! A current-thread runtime runs its tasks in one order, always the same: a bug that needs another is never seen. Here,
//! before each poll of a task that was spawned through the [`Schedule`], the seed decides: run it as it is, skip it for
//! now, or leave it so little of tokio's cooperative budget that it gives way at its first or second await, ready or not.
//! The code inside is ordinary tokio code, unmodified.
//!
//! What it can't see: tasks that the code spawns itself run in their usual order (the ones around them do not);
//! interleavings within a stretch without an await, which only several threads have; weak memory, for which there is loom.
//! Not every schedule is tried: a bug that is not found may still be there.

use crate::{
    complaints::{Complaint, Kind},
    every_await::leave_budget,
    sim::{Failure, Sim, Simulation, blocked},
    stacks,
    stuck::{Patience, Progress, Watched, watched},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::task::JoinHandle;

/// Runs a test body under 1,000 seeded schedules, each in a [simulated run](mod@crate::sim).
///
/// # Panics
/// With what was [`Found`], if there is a schedule that fails: its seed, what it takes, and whether it fails each time.
///
/// # Examples
/// ```
/// use std::sync::{Arc, Mutex};
/// use tokio::task::yield_now;
///
/// // Reads, awaits, writes: correct, as long as nobody else runs in between.
/// async fn increment(counter: Arc<tokio::sync::Mutex<u32>>) {
///     let read = *counter.lock().await;
///     *counter.lock().await = read + 1;
/// }
///
/// let found = testing::explore::Exploration::new().check(async |schedule| {
///     let counter = Arc::new(tokio::sync::Mutex::new(0));
///     let first = schedule.spawn("first", increment(counter.clone()));
///     let second = schedule.spawn("second", increment(counter.clone()));
///     first.await.unwrap();
///     second.await.unwrap();
///     assert_eq!(*counter.lock().await, 2);
/// });
/// assert!(found.unwrap_err().to_string().contains("left: 1"));
/// ```
///
/// # Source
/// Stepping the budget: `tokio::task::coop` is stable since tokio 1.44. shuttle does it thoroughly, for code that is
/// compiled against shuttle's own primitives.
#[track_caller]
pub fn explore(body: impl AsyncFn(Schedule) + Send + 'static) {
    if let Err(found) = Exploration::new().check(body) {
        panic!("{found}");
    }
}

/// Which schedules are to be tried.
#[derive(Debug, Clone)]
#[must_use = "it runs nothing until `check` or `replay`"]
pub struct Exploration {
    seeds: Range<u64>,
    simulation: Simulation,
    patience: Duration,
}

impl Default for Exploration {
    fn default() -> Self {
        Self::new()
    }
}

/// How often a seed that fails is run again, to see whether it does each time.
const REPLAYS: usize = 5;

/// How many interventions are tried without, to see which a failure takes.
const SHRINK: usize = 500;

impl Exploration {
    /// The seeds from 0 to 999.
    pub const fn new() -> Self {
        Self { seeds: 0..1000, simulation: Simulation::new(), patience: Duration::from_secs(5) }
    }

    /// Those seeds instead; a seed that failed is replayed with `seeds(17..18)`.
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// The real time without progress after which the thread counts as stuck. On a busy machine, and where the system does
    /// not tell what a thread does, four times that, and at least 20 s.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The runs are to be like this; its seed and its patience are not used.
    pub fn simulation(mut self, simulation: Simulation) -> Self {
        self.simulation = simulation;
        self
    }

    /// Runs `body` once for each seed, and gives how many there were.
    ///
    /// # Errors
    /// The first that fails.
    pub fn check(self, body: impl AsyncFn(Schedule) + Send + 'static) -> Result<usize, Box<Found>> {
        let title = std::thread::current().name().unwrap_or("an exploration").to_owned();
        let progress = Arc::new(Progress::default());
        let patience = Patience::of(self.patience);
        let (name, last) = (title.clone(), Arc::new(Mutex::new(0)));
        let (tried, seeds) = (last.clone(), self.seeds.clone());
        let mut naps = Vec::new();
        let inside = move || self.run(&name, &tried, &body);
        let outcome = watched(&title, &progress, patience, inside, |slept| naps.push(slept));
        let seed = *last.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = |kind, what| {
            let trace = progress.recorder().map(|recorder| recorder.trace()).unwrap_or_default();
            let failure = Failure {
                title: title.clone(),
                complaints: vec![Complaint { kind, what }],
                trace,
                joined: Vec::new(),
            };
            Box::new(Found { seed, seeds: seeds.clone(), replayed: None, pauses: Vec::new(), failure })
        };
        match outcome {
            Watched::Ended(Ok(_)) if !naps.is_empty() => Err(failure(Kind::Blocked, blocked(naps[0]))),
            Watched::Ended(result) => result,
            Watched::Stuck(seen) => Err(failure(Kind::Stuck, seen)),
            Watched::Died => Err(failure(Kind::Failed, String::from("the run itself panicked"))),
            Watched::NoThread(error) => Err(failure(Kind::Failed, format!("no thread to run on: {error}"))),
        }
    }

    /// Like [`check`](Self::check) on this very thread, for those who have a watcher of their own.
    pub(crate) fn here(&self, title: &str, body: impl AsyncFn(Schedule)) -> Result<usize, Box<Found>> {
        self.run(title, &Mutex::new(0), &body)
    }

    fn run(
        &self,
        title: &str,
        tried: &Mutex<u64>,
        body: &impl AsyncFn(Schedule),
    ) -> Result<usize, Box<Found>> {
        let run = |seed, chosen: Chosen, joined: Vec<String>| {
            let dice = Arc::new(Mutex::new(Dice::new(seed, chosen)));
            let thrown = dice.clone();
            let simulation = self.simulation.clone().seed(seed).joined(joined);
            let (value, failure) = simulation.observe(title, async move |sim| {
                let schedule = Schedule { sim, dice };
                let perturbed = schedule.perturb("the body", body(schedule.clone()));
                perturbed.await;
            });
            (value.is_some(), failure, thrown)
        };
        // Who joins a task may be kept from waiting for it by the schedule: what is seen to be joined without any, is.
        let (_, undisturbed, _) = run(self.seeds.start, Chosen::These(Vec::new()), Vec::new());
        let joined = undisturbed.joined;
        let attempt = |seed, chosen: Chosen| {
            let (ended, failure, thrown) = run(seed, chosen, joined.clone());
            let failed = !ended || !failure.complaints.is_empty();
            (failed.then_some(failure), thrown)
        };
        for seed in self.seeds.clone() {
            *tried.lock().unwrap_or_else(PoisonError::into_inner) = seed;
            let (Some(failure), dice) = attempt(seed, Chosen::All) else { continue };
            let replayed = (0..REPLAYS).filter(|_| attempt(seed, Chosen::All).0.is_some()).count();
            // Those interventions without which it does not fail.
            let mut needed = lock(&dice).made.clone();
            for made in needed.clone().into_iter().take(SHRINK) {
                let fewer: Vec<Turn> = needed.iter().copied().filter(|other| *other != made).collect();
                if attempt(seed, Chosen::These(fewer.clone())).0.is_some() {
                    needed = fewer;
                }
            }
            let (shortest, dice) = attempt(seed, Chosen::These(needed));
            let (failure, pauses) = match shortest {
                Some(failure) => (failure, std::mem::take(&mut lock(&dice).pauses)),
                None => (failure, Vec::new()),
            };
            let (seeds, replayed) = (self.seeds.clone(), Some(replayed));
            return Err(Box::new(Found { seed, seeds, replayed, pauses, failure }));
        }
        Ok(self.seeds.clone().count())
    }
}

/// A schedule that fails.
#[derive(Debug)]
pub struct Found {
    /// Its seed.
    pub seed: u64,
    /// What went wrong, in the shortest form of that schedule.
    pub failure: Failure,
    /// The pauses of that form, in order: who, and where if that is known.
    pub pauses: Vec<String>,
    /// How many of five replays failed; `None` if the run got stuck.
    pub replayed: Option<usize>,
    seeds: Range<u64>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = &self.seeds;
        write!(f, "seed {} fails (of {start} to {})", self.seed, end.saturating_sub(1))?;
        match self.replayed {
            Some(REPLAYS) => write!(f, ", each time")?,
            Some(times) => write!(
                f,
                ", but only {times} of {REPLAYS} times when replayed: something in it is random beyond the seed \
                 (`select!` without `biased`, the order of a HashMap, real time)"
            )?,
            None => {}
        }
        match self.pauses.as_slice() {
            [] => {}
            [pause] => write!(f, "; it takes one pause: {pause}")?,
            pauses => write!(f, "; it takes {} pauses: {}", pauses.len(), pauses.join(", then "))?,
        }
        write!(
            f,
            "\nto replay: `Exploration::new().seeds({0}..{1}).check(..)`\n{2}",
            self.seed,
            self.seed + 1,
            self.failure
        )
    }
}

impl std::error::Error for Found {}

/// The run, for its body, with tasks whose order the seed decides. Clones are the same run.
#[derive(Debug, Clone)]
pub struct Schedule {
    sim: Sim,
    dice: Arc<Mutex<Dice>>,
}

impl Schedule {
    /// Spawns a task whose polls the seed delays.
    #[track_caller]
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let name = name.into();
        self.sim.spawn(name.clone(), self.perturb(name, future))
    }

    /// Wraps a future whose polls the seed delays, for those that are not spawned: the arms of a `join!`.
    pub fn perturb<F: Future>(&self, name: impl Into<String>, future: F) -> Perturbed<F> {
        let number = {
            let mut dice = lock(&self.dice);
            dice.wrapped += 1;
            dice.wrapped
        };
        Perturbed { future, name: name.into(), number, polls: 0, dice: self.dice.clone() }
    }

    /// The run itself; its random numbers follow from the seed too.
    #[must_use]
    pub const fn sim(&self) -> &Sim {
        &self.sim
    }
}

/// What is to be done with a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Run,
    Skip,
    /// Let it pass this many awaits, and pause at the next.
    Pause(usize),
}

/// A poll: which of the wrapped futures, in the order in which they were made, and its how manieth.
type Turn = (usize, usize);

/// At which polls the seed may intervene.
#[derive(Debug)]
enum Chosen {
    All,
    These(Vec<Turn>),
}

#[derive(Debug)]
struct Dice {
    seed: u64,
    chosen: Chosen,
    /// How many futures were wrapped.
    wrapped: usize,
    /// At which polls it intervened.
    made: Vec<Turn>,
    /// What that did, in words; only while a failure is made shorter.
    pauses: Vec<String>,
}

impl Dice {
    const fn new(seed: u64, chosen: Chosen) -> Self {
        Self { seed, chosen, wrapped: 0, made: Vec::new(), pauses: Vec::new() }
    }

    /// What is decided of a poll follows from the seed and the poll alone, so that it stays the same when another poll is
    /// let be.
    fn throw(&mut self, turn: Turn) -> Decision {
        if let Chosen::These(turns) = &self.chosen
            && !turns.contains(&turn)
        {
            return Decision::Run;
        }
        // Neighbours should not begin alike.
        let mix = |seed: u64, n: usize| (seed ^ n as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let decision = match fastrand::Rng::with_seed(mix(mix(self.seed, turn.0), turn.1)).u8(0..4) {
            0 => Decision::Skip,
            1 => Decision::Pause(0),
            2 => Decision::Pause(1),
            _ => return Decision::Run,
        };
        self.made.push(turn);
        decision
    }
}

fn lock(dice: &Mutex<Dice>) -> MutexGuard<'_, Dice> {
    dice.lock().unwrap_or_else(PoisonError::into_inner)
}

pin_project! {
    /// Made by [`Schedule::perturb`].
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Perturbed<F> {
        #[pin]
        future: F,
        name: String,
        number: usize,
        polls: usize,
        dice: Arc<Mutex<Dice>>,
    }
}

impl<F: Future> Future for Perturbed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        *this.polls += 1;
        let (decision, shrinking) = {
            let mut dice = lock(this.dice);
            (dice.throw((*this.number, *this.polls)), matches!(dice.chosen, Chosen::These(_)))
        };
        match decision {
            Decision::Run => this.future.poll(cx),
            Decision::Skip => {
                lock(this.dice).pauses.push(format!("`{}` is skipped", this.name));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Decision::Pause(awaits) => {
                leave_budget(cx, awaits);
                if !shrinking {
                    return this.future.poll(cx);
                }
                let (poll, waiting) = stacks::poll(this.future, cx);
                if poll.is_pending() {
                    let line = waiting.words().map(|line| format!(" at {line}")).unwrap_or_default();
                    lock(this.dice).pauses.push(format!("`{}` pauses{line}", this.name));
                }
                poll
            }
        }
    }
}

impl<F> fmt::Debug for Perturbed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Perturbed").field("name", &self.name).finish_non_exhaustive()
    }
}
