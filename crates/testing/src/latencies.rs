//! Seeded latencies.

use crate::proof::Envelope;
use std::time::Duration;

/// `n` different latencies of 10, 20, 30 ... milliseconds, in an order that follows from `seed`; the first is never the
/// shortest, so that the order of the questions is not the order of the answers.
///
/// # Examples
/// ```
/// let drawn = testing::latencies(7, 5);
/// assert_eq!(drawn, testing::latencies(7, 5));
/// assert_ne!(drawn[0].as_millis(), 10);
/// ```
#[must_use]
pub fn latencies(seed: u64, n: usize) -> Vec<Duration> {
    let mut drawn: Vec<Duration> = (1..).take(n).map(|k| Duration::from_millis(10 * k)).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    random.shuffle(&mut drawn);
    if n > 1 && drawn[0] == Duration::from_millis(10) {
        drawn.swap(0, n - 1);
    }
    drawn
}

/// The numbers from 1 to `n` in an order that follows from `seed`: ids that are not their own positions.
#[must_use]
pub fn shuffled(seed: u64, n: u32) -> Vec<u32> {
    let mut ids: Vec<u32> = (1..=n).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut ids);
    ids
}

/// When a caller is done that keeps `limit` calls in flight whenever there is work, and starts them in order.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let ms = Duration::from_millis;
/// assert_eq!(testing::latencies::best_time(&[ms(40), ms(10), ms(20)], 2), ms(40));
/// ```
#[must_use]
pub fn best_time(latencies: &[Duration], limit: usize) -> Duration {
    Envelope::of(latencies, limit.max(1)).ideal()
}
