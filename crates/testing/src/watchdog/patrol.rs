//! The rounds that the watchdog's thread makes.

use super::{
    Stall, label,
    log::Log,
    seats::{Seats, Thread},
    suspect::Suspect,
};
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
        let own = worker.still(&seated, self);
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
            sure: worker.suspects.iter().filter(|suspect| suspect.may_have_the_worker).count() == 1,
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
    fn still(&mut self, seated: &Arc<Thread>, patrol: &Patrol) -> Duration {
        if self.suspects.first().is_some_and(|suspect| suspect.is(seated)) {
            for suspect in &mut self.suspects {
                suspect.look(2 * patrol.limit);
            }
        } else {
            self.suspects = vec![Suspect::seated(seated.clone(), !patrol.needs_driver)];
        }
        for thread in patrol.seats.loose() {
            match self.suspects.iter_mut().find(|suspect| suspect.is(&thread)) {
                Some(suspect) => suspect.thread = thread,
                None => self.suspects.push(Suspect::loose(thread)),
            }
        }
        let may_have_it = self.suspects.iter().filter(|suspect| suspect.may_have_the_worker);
        may_have_it.map(|suspect| suspect.own).min().unwrap_or_default()
    }
}
