//! The rounds that the watchdog's thread makes.

use super::{
    Doing, Stall,
    bystanders::Bystanders,
    label,
    log::Log,
    seats::{Seats, Thread},
    stall::waits_for_a_thread,
};
use crate::activity::{self, Sample, State};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};
use tokio::runtime::RuntimeMetrics;

pub(super) struct Patrol {
    pub(super) metrics: RuntimeMetrics,
    pub(super) seats: Arc<Seats>,
    /// A current-thread runtime moves only while somebody is in its `block_on`.
    pub(super) needs_driver: bool,
    pub(super) limit: Duration,
    pub(super) log: Arc<Log>,
    pub(super) on_stall: Box<dyn Fn(&Stall) + Send>,
}

impl Patrol {
    /// Makes rounds until the other end of `stop` is dropped.
    pub(super) fn run(self, stop: &mpsc::Receiver<()>) {
        let mut workers: Vec<Watched> = Vec::new();
        workers.resize_with(self.metrics.num_workers(), Watched::default);
        while stop.recv_timeout(self.limit / 5) == Err(mpsc::RecvTimeoutError::Timeout) {
            for (index, worker) in workers.iter_mut().enumerate() {
                self.look(index, worker);
            }
        }
    }

    fn moves(&self, worker: usize) -> Moves {
        Moves {
            parks: self.metrics.worker_park_unpark_count(worker),
            busy: self.metrics.worker_total_busy_duration(worker),
            driver: self.seats.driver(),
        }
    }

    fn look(&self, index: usize, worker: &mut Watched) {
        let moves = self.moves(index);
        let active = moves.parks.is_multiple_of(2) && !(self.needs_driver && moves.driver == 0);
        let seated = if active && worker.moves == moves { self.seats.seated(index) } else { None };
        // Without a seat the worker has not begun, or has ended with its runtime.
        let Some(seated) = seated else {
            *worker = Watched { moves, ..Watched::default() };
            return;
        };
        let own = worker.still(&seated, &self.seats, 2 * self.limit);
        let lasted = worker.since.elapsed();
        if let Some(number) = worker.told {
            self.log.goes_on(number, lasted);
            return;
        }
        if own < self.limit {
            return;
        }
        let suspect = &worker.suspects[0];
        let mut stall = Stall {
            worker: index,
            thread: seated.number(),
            lasted,
            starved: lasted.saturating_sub(own),
            doing: suspect.doing(),
            label: label::label(seated.label.load(Relaxed)),
            sure: !worker.suspects.iter().skip(1).any(Suspect::may_have_the_worker),
        };
        if self.moves(index) != moves {
            // It moved while all this was read, so that it may tell of what came afterwards.
            stall.sure = false;
        }
        worker.told = Some(self.log.push(stall.clone()));
        // The panic hook has told of it; the rounds go on.
        drop(catch_unwind(AssertUnwindSafe(|| (self.on_stall)(&stall))));
    }
}

/// What changes whenever a worker comes round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Moves {
    parks: u64,
    busy: Duration,
    driver: u64,
}

/// A worker, since it was last seen to move.
struct Watched {
    moves: Moves,
    since: Instant,
    /// First the thread that it is seated on, then those to which it may have moved.
    suspects: Vec<Suspect>,
    /// The number of the stall, once it is reported.
    told: Option<u64>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { moves: Moves::default(), since: Instant::now(), suspects: Vec::new(), told: None }
    }
}

impl Watched {
    /// Counts one more round without a move, and gives for how much of the time the program itself is to blame. While
    /// it is not certain which thread has the worker, that is the least that can be said of any of them.
    fn still(&mut self, seated: &Arc<Thread>, seats: &Seats, patience: Duration) -> Duration {
        if !self.suspects.first().is_some_and(|suspect| Arc::ptr_eq(&suspect.thread, seated)) {
            self.suspects = vec![Suspect::new(seated.clone())];
        } else {
            for suspect in &mut self.suspects {
                suspect.look(patience);
            }
        }
        for thread in seats.loose() {
            if !self.suspects.iter().any(|suspect| Arc::ptr_eq(&suspect.thread, &thread)) {
                self.suspects.push(Suspect::new(thread));
            }
        }
        let others = self.suspects.iter().skip(1).filter(|suspect| suspect.may_have_the_worker());
        self.suspects.iter().take(1).chain(others).map(|suspect| suspect.own).min().unwrap_or_default()
    }
}

/// What a thread has done since the worker that it may have was last seen to move.
struct Suspect {
    thread: Arc<Thread>,
    at: Instant,
    sample: Option<Sample>,
    /// Time that it computed or waited in a call: not the time in which it had no processor.
    own: Duration,
    /// How much of that it computed.
    computed: Duration,
    held_up: Duration,
    bystanders: Bystanders,
}

impl Suspect {
    fn new(thread: Arc<Thread>) -> Self {
        let sample = sample(&thread);
        Self {
            thread,
            at: Instant::now(),
            sample,
            own: Duration::ZERO,
            computed: Duration::ZERO,
            held_up: Duration::ZERO,
            bystanders: Bystanders::default(),
        }
    }

    fn look(&mut self, patience: Duration) {
        let passed = self.at.elapsed();
        let sample = sample(&self.thread);
        if let (Some(before), Some(now)) = (self.sample, sample) {
            let computed = now.used.saturating_sub(before.used);
            self.computed += computed;
            let own = match now.state {
                State::Waiting => passed
                    .saturating_sub(now.queued.saturating_sub(before.queued))
                    .saturating_sub(self.held_up(passed, patience)),
                State::Ready => computed,
                State::Stopped => Duration::ZERO,
            };
            self.own += own;
        } else {
            // Nobody tells: all of it is blamed on the program.
            self.own += passed;
        }
        self.at += passed;
        self.sample = sample;
    }

    /// For how much of the time it may have waited for a thread that got no processor. The `patience` is for all of it:
    /// where some thread is always short of a processor, a lock that is held for long would never be told.
    fn held_up(&mut self, passed: Duration, patience: Duration) -> Duration {
        let in_call = self.in_call();
        let held_up = match &self.thread.folder {
            Some(folder) if waits_for_a_thread(in_call.as_deref()) => self.bystanders.look(folder, passed),
            _ => Duration::ZERO,
        };
        let held_up = held_up.min(patience.saturating_sub(self.held_up));
        self.held_up += held_up;
        held_up
    }

    fn in_call(&self) -> Option<String> {
        self.thread.folder.as_deref().and_then(activity::waits_in)
    }

    fn doing(&self) -> Doing {
        let Some(sample) = self.sample else { return Doing::Unknown };
        if self.computed >= self.own / 2 {
            return Doing::Computing;
        }
        Doing::Blocked { in_call: if sample.state == State::Waiting { self.in_call() } else { None } }
    }

    /// Of a thread without a seat: whether it may be polling the tasks of a worker that was given to it, and not just
    /// run a blocking function or wait for one.
    fn may_have_the_worker(&self) -> bool {
        self.sample.is_some_and(|sample| sample.state == State::Ready) || self.thread.label.load(Relaxed) != 0
    }
}

fn sample(thread: &Thread) -> Option<Sample> {
    thread.folder.as_deref().and_then(activity::sample)
}
