//! Every detector that runs a program, applied to one program of the zoo.

use futures_util::future::BoxFuture;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use testing::{
    every_await,
    explore::Exploration,
    sim::{Complaint, Failure, Simulation},
    watchdog,
};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, timeout},
};

/// What a detector said of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// In a word or two, what it found.
    Found(String),
    /// It looked, and found nothing.
    Quiet,
    /// There is nothing for it to look at.
    NotAsked,
}

/// The detectors that run a program, in the order of the matrix.
pub(crate) const RUNNING: [&str; 6] = ["ordinary test", "sim", "every await", "proof", "watchdog", "explore"];

/// What a simulated run says of a program that never ends.
const NEVER_ENDS: [&str; 4] = ["deadlock", "lost wake-up", "endless", "stuck"];

/// More than anything takes here, on a busy machine too.
const LONG: Duration = Duration::from_secs(60);

/// One program and what it works on.
pub(crate) struct Subject<W> {
    pub(crate) world: fn() -> Arc<W>,
    pub(crate) program: fn(Arc<W>, usize) -> BoxFuture<'static, ()>,
    pub(crate) after: fn(&W) -> Result<(), String>,
    pub(crate) proof: Option<fn(&W, Duration) -> Result<(), String>>,
    pub(crate) invariant: Option<fn(Arc<W>) -> BoxFuture<'static, Result<(), String>>>,
    pub(crate) at_once: usize,
    /// How many schedules are explored: fewer of a program that takes real time.
    pub(crate) seeds: u64,
}

impl<W> Clone for Subject<W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Subject<W> {}

impl<W: Send + Sync + 'static> Subject<W> {
    /// One cell for each of [`RUNNING`].
    pub(crate) fn examine(self) -> [Cell; 6] {
        let sim = self.sim();
        let ends = match &sim {
            Cell::Found(words) => !NEVER_ENDS.iter().any(|word| words.contains(word)),
            Cell::Quiet | Cell::NotAsked => true,
        };
        // To take long on a busy machine is no hanging, but for those.
        let limit = if ends { LONG } else { Duration::from_secs(2) };
        let (ordinary, every_await) = (self.ordinary(limit), self.every_await(limit));
        [ordinary, sim, every_await, self.proof(), self.watchdog(limit), self.explore()]
    }

    async fn run(self, world: &Arc<W>) -> Result<(), String> {
        let mut programs = JoinSet::new();
        for n in 0..self.at_once {
            programs.spawn((self.program)(world.clone(), n));
        }
        let mut ended = Ok(());
        while let Some(joined) = programs.join_next().await {
            ended = ended.and(joined.map_err(|_| String::from("panics")));
        }
        ended
    }

    /// `#[tokio::test(start_paused = true)]`, and an assertion at the end.
    fn ordinary(self, limit: Duration) -> Cell {
        let ran = on_a_thread(limit, move || {
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.expect("a runtime").block_on(async {
                let world = (self.world)();
                self.run(&world).await?;
                (self.after)(&world).map_err(|_| String::from("fails"))
            })
        });
        match ran {
            Some(Ok(())) => Cell::Quiet,
            Some(Err(word)) => Cell::Found(word),
            None => Cell::Found(String::from("hangs")),
        }
    }

    fn simulation() -> Simulation {
        Simulation::new().grace(Duration::from_secs(1)).patience(Duration::from_millis(600))
    }

    fn sim(self) -> Cell {
        let run = Self::simulation().check(async move |sim| {
            let world = (self.world)();
            let programs: Vec<_> = (0..self.at_once)
                .map(|n| sim.spawn(format!("program {n}"), (self.program)(world.clone(), n)))
                .collect();
            for program in programs {
                drop(program.await);
            }
        });
        run.map_or_else(|failure| Cell::Found(words(&failure)), |()| Cell::Quiet)
    }

    fn proof(self) -> Cell {
        let Some(proof) = self.proof else { return Cell::NotAsked };
        let (send, verdict) = mpsc::channel();
        let run = Self::simulation().check(async move |_| {
            let (world, start) = ((self.world)(), Instant::now());
            drop(self.run(&world).await);
            send.send(proof(&world, start.elapsed())).ok();
        });
        // What else there is to complain of, and a run that does not come to its proof, are matters of the columns before.
        drop(run);
        match verdict.try_recv() {
            Ok(Err(_)) => Cell::Found(String::from("fails")),
            Ok(Ok(())) | Err(_) => Cell::Quiet,
        }
    }

    fn every_await(self, limit: Duration) -> Cell {
        let invariant = self.invariant;
        let ran = on_a_thread(limit, move || {
            every_await(
                self.world,
                |world| (self.program)(world.clone(), 0),
                async |world| match invariant {
                    Some(invariant) => invariant(world).await,
                    None => Ok(()),
                },
            )
        });
        match ran {
            Some(Err(broken)) if broken.starts_with("not dropped at all") => Cell::Quiet,
            Some(Err(broken)) if broken.starts_with("a deadlock") => Cell::Found(String::from("deadlock")),
            Some(Err(_)) => Cell::Found(String::from("breaks")),
            Some(Ok(_)) => Cell::Quiet,
            // It does not end even when nobody drops it.
            None => Cell::Quiet,
        }
    }

    fn watchdog(self, limit: Duration) -> Cell {
        let ran = on_a_thread(limit, move || {
            let (_, stalls) = watchdog::observe(Duration::from_millis(50), async move {
                let world = (self.world)();
                // Not ending is not its business.
                drop(timeout(Duration::from_millis(500), self.run(&world)).await);
            });
            stalls.len()
        });
        match ran {
            Some(0) => Cell::Quiet,
            Some(_) => Cell::Found(String::from("stall")),
            None => Cell::Found(String::from("stall")),
        }
    }

    fn explore(self) -> Cell {
        let ran = on_a_thread(LONG, move || {
            Exploration::new()
                .seeds(0..self.seeds)
                .patience(Duration::from_millis(600))
                .simulation(Self::simulation())
                .check(async move |schedule| {
                    let world = (self.world)();
                    let programs: Vec<_> = (0..self.at_once)
                        .map(|n| schedule.spawn(format!("program {n}"), (self.program)(world.clone(), n)))
                        .collect();
                    for program in programs {
                        drop(program.await);
                    }
                    assert_eq!((self.after)(&world), Ok(()));
                })
        });
        match ran {
            Some(Err(found)) => Cell::Found(words(&found.failure)),
            Some(Ok(_)) | None => Cell::Quiet,
        }
    }
}

/// The kinds of complaint, each once.
fn words(failure: &Failure) -> String {
    let mut words: Vec<&str> = failure.complaints.iter().map(|Complaint { kind, .. }| kind.word()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

/// What `body` gives; nothing, if it panics or has not ended after `limit`. Then its thread is left to itself.
fn on_a_thread<T: Send + 'static>(limit: Duration, body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        if let Ok(value) = catch_unwind(AssertUnwindSafe(body)) {
            // Nobody waits for it any more, if it took too long.
            send.send(value).ok();
        }
    });
    receive.recv_timeout(limit).ok()
}
