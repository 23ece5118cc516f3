//! The stalls that were found.

use super::Stall;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many stalls are kept, the latest: a service that stalls all day must not grow by it.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    kept: VecDeque<Stall>,
    /// How many there were, the ones that are no longer kept included.
    count: u64,
}

impl Log {
    /// Keeps a stall, and gives its number.
    pub(super) fn push(&self, stall: Stall) -> u64 {
        let mut found = self.lock();
        if found.kept.len() == KEPT {
            found.kept.pop_front();
        }
        found.kept.push_back(stall);
        found.count += 1;
        found.count
    }

    /// The stall with this number has lasted longer.
    pub(super) fn goes_on(&self, number: u64, lasted: Duration) {
        let mut found = self.lock();
        let later = usize::try_from(found.count - number).unwrap_or(usize::MAX);
        if let Some(stall) = found.kept.iter_mut().rev().nth(later) {
            stall.lasted = lasted;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    pub(super) fn kept(&self) -> Vec<Stall> {
        self.lock().kept.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Doing, *};

    #[test]
    fn the_latest_are_kept_all_are_counted_and_the_one_that_goes_on_is_found() {
        let log = Log::default();
        let of = |worker| Stall {
            worker,
            thread: None,
            lasted: Duration::ZERO,
            starved: Duration::ZERO,
            doing: Doing::Unknown,
            label: None,
            sure: true,
        };
        let numbers: Vec<u64> = (0..KEPT + 10).map(|worker| log.push(of(worker))).collect();
        assert_eq!((log.count(), log.kept().len()), (KEPT as u64 + 10, KEPT));
        let second = Duration::from_secs(1);
        for forgotten in [0, 9] {
            log.goes_on(numbers[forgotten], second);
        }
        assert!(log.kept().iter().all(|stall| stall.lasted.is_zero()));
        for kept in [10, 11, KEPT + 9] {
            log.goes_on(numbers[kept], second);
        }
        let longer: Vec<usize> =
            log.kept().iter().filter(|stall| !stall.lasted.is_zero()).map(|stall| stall.worker).collect();
        assert_eq!(longer, [10, 11, KEPT + 9]);
    }
}
