use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// How many retries all callers of a service may make together. Clones are handles to the same budget.
///
/// Three attempts each are three times the load, in the very moment in which the service can bear it least. The budget is a
/// bucket: a retry takes one token, a success puts a part of one back. As long as calls succeed, it is full, and nobody
/// notices it. In an outage it is empty after `burst` retries, and from then on a call is one attempt.
///
/// `retry::budget::TpsBudget` of tower does the same with windows of time instead of successes, and is a part of a stack
/// of services. This one needs no clock: in all, there are never more retries than `burst` and `percent` of the successes.
///
/// # Examples
/// ```
/// use concurrency::RetryBudget;
/// use std::num::NonZeroUsize;
///
/// // 50 retries in a row, and then one for every ten calls that succeed.
/// let budget = RetryBudget::new(NonZeroUsize::new(50).expect("fifty is not zero"), 10);
/// assert_eq!(budget.left(), 50);
/// ```
///
/// # Source
/// Retry throttling of gRPC, the retry quota of the AWS SDKs, `RetryBudget` of Finagle.
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Bucket>);

/// What one retry costs: tokens are counted in hundredths.
const RETRY: usize = 100;

#[derive(Debug)]
struct Bucket {
    full: usize,
    percent: usize,
    hundredths: AtomicUsize,
}

impl RetryBudget {
    /// A full budget: `burst` retries in a row, and from each success `percent` of a retry, up to `burst` again.
    #[must_use]
    pub fn new(burst: NonZeroUsize, percent: u8) -> Self {
        let full = burst.get().saturating_mul(RETRY);
        Self(Arc::new(Bucket { full, percent: percent.into(), hundredths: AtomicUsize::new(full) }))
    }

    /// How many retries are left: a figure for a dashboard. Zero for long means that the service is down.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.hundredths.load(Relaxed) / RETRY
    }

    pub(super) fn deposit(&self) {
        self.put(self.0.percent);
    }

    /// Takes one retry, if there is one.
    pub(super) fn withdraw(&self) -> Option<Token> {
        let taken = self.0.hundredths.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(RETRY));
        taken.ok().map(|_| Token { budget: self.clone(), spent: false })
    }

    fn put(&self, hundredths: usize) {
        let put = |left: usize| Some(left.saturating_add(hundredths).min(self.0.full));
        // `put` always gives a new value, so there is no error.
        let _: Result<usize, usize> = self.0.hundredths.fetch_update(Relaxed, Relaxed, put);
    }
}

/// A retry that is paid for; dropped unspent, it is paid back.
#[derive(Debug)]
pub(super) struct Token {
    budget: RetryBudget,
    spent: bool,
}

impl Token {
    pub(super) fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.spent {
            self.budget.put(RETRY);
        }
    }
}
