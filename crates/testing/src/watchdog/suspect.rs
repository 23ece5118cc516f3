//! A thread that may be the stuck one.

use super::{
    Doing,
    bystanders::{Bystanders, Who},
    seats::Thread,
    stall::waits_for_a_thread,
};
use crate::activity::{self, Sample, State};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// What a thread has done since the worker that it may have was last seen to move.
pub(super) struct Suspect {
    pub(super) thread: Arc<Thread>,
    /// It is the thread on which the worker was seen last; or it may be polling the tasks of a worker that was given to
    /// it, and not just run a blocking function or wait for one.
    pub(super) may_have_the_worker: bool,
    /// By `block_in_place`, from this thread to another.
    worker_can_move: bool,
    /// Time that it computed or waited in a call: not the time in which it had no processor.
    pub(super) own: Duration,
    /// How much of that it computed.
    computed: Duration,
    /// How long it may have waited for a thread that had no processor.
    held_up: Duration,
    at: Instant,
    sample: Option<Sample>,
    bystanders: Bystanders,
}

impl Suspect {
    /// The thread on which the worker was seen last.
    pub(super) fn seated(thread: Arc<Thread>, worker_can_move: bool) -> Self {
        Self { may_have_the_worker: true, worker_can_move, ..Self::loose(thread) }
    }

    /// Another thread of the runtime.
    pub(super) fn loose(thread: Arc<Thread>) -> Self {
        let sample = sample(&thread);
        let mut suspect = Self {
            thread,
            may_have_the_worker: false,
            worker_can_move: false,
            own: Duration::ZERO,
            computed: Duration::ZERO,
            held_up: Duration::ZERO,
            at: Instant::now(),
            sample,
            bystanders: Bystanders::default(),
        };
        suspect.suspect();
        suspect
    }

    pub(super) fn is(&self, thread: &Arc<Thread>) -> bool {
        Arc::ptr_eq(&self.thread, thread) || (thread.folder.is_some() && self.thread.folder == thread.folder)
    }

    /// Once it may have the worker it may keep it, also while it waits.
    fn suspect(&mut self) {
        let ready = self.sample.is_some_and(|sample| sample.state == State::Ready);
        self.may_have_the_worker |= ready || self.thread.label.load(Relaxed) != 0;
    }

    /// Counts the time since the last look. The `patience` is with threads that may wait for a processor and hold a lock,
    /// and for all of the stall: where there always is one, a lock that is held for long would never be told.
    pub(super) fn look(&mut self, patience: Duration) {
        let passed = self.at.elapsed();
        let sample = sample(&self.thread);
        if let (Some(before), Some(now)) = (self.sample, sample) {
            let computed = now.used.saturating_sub(before.used);
            self.computed += computed;
            let own = match now.state {
                State::Ready => computed,
                State::Stopped => Duration::ZERO,
                State::Waiting => passed.saturating_sub(now.queued.saturating_sub(before.queued)),
            };
            let (held_up, who) = self.waits_for(now.state, passed);
            let held_up = match who {
                Who::Anybody => held_up.min(patience.saturating_sub(self.held_up)),
                // It is born only once.
                Who::Newborn => held_up,
            };
            let held_up = held_up.min(own);
            self.held_up += held_up;
            self.own += own - held_up;
        } else {
            // Nobody tells: all of it is blamed on the program.
            self.own += passed;
        }
        self.at += passed;
        self.sample = sample;
        self.suspect();
    }

    /// For how much of the time that has passed it may have waited for a thread that had no processor.
    fn waits_for(&mut self, state: State, passed: Duration) -> (Duration, Who) {
        let Some(folder) = self.thread.folder.as_deref().filter(|_| self.may_have_the_worker) else {
            return (Duration::ZERO, Who::Anybody);
        };
        let locked = state == State::Waiting && waits_for_a_thread(activity::waits_in(folder).as_deref());
        let who = if locked { Who::Anybody } else { Who::Newborn };
        let looks = locked || self.worker_can_move;
        (if looks { self.bystanders.look(folder, who, passed) } else { Duration::ZERO }, who)
    }

    pub(super) fn doing(&self) -> Doing {
        let Some(sample) = self.sample else { return Doing::Unknown };
        if self.computed >= self.own / 2 {
            return Doing::Computing;
        }
        let waiting = self.thread.folder.as_deref().filter(|_| sample.state == State::Waiting);
        Doing::Blocked { in_call: waiting.and_then(activity::waits_in) }
    }
}

fn sample(thread: &Thread) -> Option<Sample> {
    thread.folder.as_deref().and_then(activity::sample)
}
