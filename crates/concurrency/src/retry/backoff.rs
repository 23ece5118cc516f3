use std::time::Duration;

/// How long to wait between attempts: anything from nothing to a ceiling that doubles with each failure.
///
/// A pause without a random part brings back, at the same moment, all who failed at the same moment. Most of the ecosystem
/// adds a little randomness to a pause; to draw all of it spreads the load best. (backon adds up to as much again to its
/// pauses, tower a share of them, and neither starts at zero: hence these few lines.)
///
/// # Examples
/// ```
/// use concurrency::retry::Backoff;
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let backoff = Backoff::new(ms(100), ms(1000));
/// assert_eq!([1, 2, 3, 4, 5].map(|failures| backoff.ceiling(failures)), [100, 200, 400, 800, 1000].map(ms));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first pause is `first` at most, each later one up to twice as long, and none longer than `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The longest pause after so many failures.
    #[must_use]
    pub fn ceiling(&self, failures: usize) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// In whole milliseconds, the grain of tokio's timers.
    pub(super) fn pause(&self, failures: usize, random: &mut fastrand::Rng) -> Duration {
        let ceiling = u64::try_from(self.ceiling(failures).as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.u64(0..=ceiling))
    }
}
