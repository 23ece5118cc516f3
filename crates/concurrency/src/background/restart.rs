//! When a task begins again, and when it does not any more.

use fastrand::Rng;
use std::{collections::VecDeque, time::Duration};

/// After which ends a task begins again. Never is [`spawn`](super::Spawner::spawn).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// After an error or a panic. When it returns `Ok`, its work is done.
    OnFailure(Backoff),
    /// After each end, `Ok` too, unless the shutdown has begun: for what is to be there as long as the service.
    Always(Backoff),
}

impl Restart {
    pub(super) const fn backoff(self) -> Backoff {
        match self {
            Self::OnFailure(backoff) | Self::Always(backoff) => backoff,
        }
    }
}

/// How long to wait before each restart, and after how many to give up.
///
/// The pauses double from `first` to `longest`, each shortened by chance by up to a half, so that tasks which failed
/// together don't come back together. A restart counts until the task has **run** for `window` since; pauses are not
/// part of that. (Where they are, a limit of 5 in 10 s is never met by pauses of 4 s, and what is broken for good is
/// restarted for ever.) What counts no more doesn't lengthen the pause either.
///
/// # Source
/// Erlang/OTP's restart intensity and period; "equal jitter" of the AWS architecture blog's "Exponential Backoff And
/// Jitter".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause before the first restart. With zero, what fails at once spins until it is given up.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// So many restarts within the window; the next failure is final.
    pub restarts: u32,
    /// How long it has to run until a restart is forgotten. `Duration::MAX`: never. Zero: at once, and it never gives up.
    pub window: Duration,
    /// What chance follows from, together with the task's number: tasks with the same seed wait differently. Draw it
    /// (`fastrand::u64(..)`) where several processes run the same; set it in tests.
    pub seed: u64,
}

/// The restarts of one task.
pub(super) struct Restarts {
    backoff: Backoff,
    random: Rng,
    ran: Duration,
    /// How long the task had run in all at each restart that counts: at most `backoff.restarts`.
    recent: VecDeque<Duration>,
}

impl Restarts {
    pub(super) fn new(backoff: Backoff, task: u64) -> Self {
        let mut random = Rng::with_seed(backoff.seed);
        let seed = random.u64(..) ^ task.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { backoff, random: Rng::with_seed(seed), ran: Duration::ZERO, recent: VecDeque::new() }
    }

    /// The pause before the next attempt, after one that ran so long; nothing: give up.
    pub(super) fn after(&mut self, ran: Duration) -> Option<Duration> {
        let Backoff { first, longest, restarts, window, .. } = self.backoff;
        self.ran = self.ran.saturating_add(ran);
        while self.recent.front().is_some_and(|at| self.ran - *at >= window) {
            self.recent.pop_front();
        }
        let count = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if count >= restarts {
            return None;
        }
        self.recent.push_back(self.ran);
        let full = first.saturating_mul(2_u32.saturating_pow(count)).min(longest);
        Some(full.mul_f64(1.0 - self.random.f64() / 2.0))
    }
}
