//! Ask again, as often and as soon as it does good, and no more.
//!
//! The usual loop with a `sleep` in it makes outages longer: all clients come back at the same moment, each of them again
//! and again, until long after their own callers have left; and now and then a card is charged twice. [`Retry`] spreads
//! the attempts, keeps within one [`Deadline`], repeats only what may be repeated, does as the other side asks, and stops
//! when everybody is retrying.

mod backoff;
mod budget;
mod error;

pub use backoff::Backoff;
pub use budget::RetryBudget;
pub use error::{AttemptError, FailedAttempt, GaveUp, RetryError};

use crate::{Deadline, Retryable};
use budget::Token;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How to ask again. Make one for each service that is called, and share it.
///
/// Take it where an error may be of the moment: a call over a network, a transaction that lost a race. Take nothing where
/// somebody else retries already: three layers that try three times each make 27 calls.
///
/// # Examples
/// ```
/// use concurrency::{Deadline, Idempotency, Retry, Retryable, retry::Backoff};
/// use std::{num::NonZeroUsize, time::Duration};
///
/// #[derive(Debug)]
/// struct Busy;
/// impl Retryable for Busy {
///     fn is_retryable(&self) -> bool {
///         true
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let ms = Duration::from_millis;
/// let retry = Retry::new(NonZeroUsize::new(3).expect("three is not zero"), Backoff::new(ms(50), ms(2000)));
/// let deadline = Deadline::after("price", ms(1000));
/// let price = retry
///     .run(&deadline, Idempotency::Idempotent, async |attempt| if attempt.number < 3 { Err(Busy) } else { Ok(42) })
///     .await;
/// assert_eq!(price.unwrap(), 42);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Retry {
    attempts: NonZeroUsize,
    backoff: Backoff,
    each: Option<Duration>,
    shortest: Duration,
    budget: Option<RetryBudget>,
    seed: Option<u64>,
}

/// Whether what is asked for may be asked for again, when nobody knows whether it was done.
// ANCHOR: idempotency
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotency {
    /// Twice is as good as once: a GET, a PUT of the whole, a DELETE.
    Idempotent,
    /// The other side does it once for this key, however often it is asked. Make the key where the intention is made,
    /// with the order and not with the request, and store it there: it has to outlive this process.
    Keyed(Arc<str>),
    /// Twice is once too often. Only errors that [certainly had no effect](Retryable::had_no_effect) are tried again.
    NotIdempotent,
}
// ANCHOR_END: idempotency

/// One attempt, as the work is told of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first.
    pub number: usize,
    /// Until when it has time: to be passed on to what the work calls.
    pub deadline: Deadline,
    key: Option<Arc<str>>,
}

impl Attempt {
    /// The idempotency key, the same in all attempts: to be sent with the request.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl Retry {
    /// So many attempts at most, the first included, with these pauses in between.
    #[must_use]
    pub const fn new(attempts: NonZeroUsize, backoff: Backoff) -> Self {
        Self { attempts, backoff, each: None, shortest: Duration::ZERO, budget: None, seed: None }
    }

    /// Limits each attempt. Without it, one that hangs has all the time that there is, and there is no second.
    #[must_use]
    pub const fn each(mut self, limit: Duration) -> Self {
        self.each = Some(limit);
        self
    }

    /// What an attempt needs at least. With less than that left, none is begun: it could only be given up half-way.
    #[must_use]
    pub const fn shortest(mut self, time: Duration) -> Self {
        self.shortest = time;
        self
    }

    /// Shares a budget with all who call the same service.
    #[must_use]
    pub fn budget(mut self, budget: &RetryBudget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Draws the pauses from this seed, the same ones each time: for tests. In production, it would undo the jitter.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Runs `work` until it succeeds, or until another attempt would do no good.
    ///
    /// # Shape
    /// One attempt at a time, in the caller's task. Each has until its own limit or the deadline, whichever is nearer: the
    /// last one gets what remains. Between two attempts lies a pause: what the other side asked for in `Retry-After`, and
    /// on top of it a random part of the back-off, so that not everybody comes back in the moment that was asked for. A
    /// pause after which too little time would be left is not begun: it gives up at once.
    ///
    /// # Errors
    /// [`RetryError`]: why there is no further attempt, and what became of each.
    ///
    /// # Panics
    /// If the work does: a bug is not tried again.
    ///
    /// # Cancel safety
    /// The attempt in progress is dropped, and is as cancel safe as the work. No task runs on, no further attempt is made,
    /// and a retry that was paid for from the budget and not begun is paid back. Whether an attempt that was dropped had
    /// its effect, nobody knows: that is what an idempotency key is for.
    ///
    /// # Source
    /// Full jitter: Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). `Retry-After` and idempotent
    /// methods: RFC 9110, 10.2.3 and 9.2.2.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Deadline, GaveUp, Idempotency, Retry, Retryable, retry::Backoff};
    /// use std::{num::NonZeroUsize, time::Duration};
    ///
    /// #[derive(Debug)]
    /// struct Reset;
    /// impl Retryable for Reset {
    ///     fn is_retryable(&self) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let second = Duration::from_secs(1);
    /// let retry = Retry::new(NonZeroUsize::MAX, Backoff::new(second, second));
    /// let deadline = Deadline::after("order", 5 * second);
    /// // The connection broke: the order may have been carried out, and nothing says that two of them would be one.
    /// let error = retry.run(&deadline, Idempotency::NotIdempotent, async |_| Err::<(), _>(Reset)).await.unwrap_err();
    /// assert_eq!((error.why, error.attempts.len()), (GaveUp::NotIdempotent, 1));
    /// # });
    /// ```
    pub async fn run<W, F, T, E>(
        &self,
        deadline: &Deadline,
        idempotency: Idempotency,
        mut work: W,
    ) -> Result<T, RetryError<E>>
    where
        W: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
        E: Retryable,
    {
        let key = match &idempotency {
            Idempotency::Keyed(key) => Some(key.clone()),
            _ => None,
        };
        // ANCHOR: loop
        let began = Instant::now();
        let mut random = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let mut attempts = Vec::new();
        // Dropped before the attempt begins, it goes back into the budget.
        let mut token: Option<Token> = None;
        loop {
            if !self.fits(deadline, Duration::ZERO) {
                return Err(RetryError { why: GaveUp::Deadline, attempts });
            }
            token.take().into_iter().for_each(Token::spend);
            let limit = self.each.map_or(*deadline, |each| deadline.within("the attempt", each));
            let attempt = Attempt { number: attempts.len() + 1, deadline: limit, key: key.clone() };
            let at = began.elapsed();
            let error = match limit.run(work(attempt)).await {
                Ok(Ok(value)) => {
                    if let Some(budget) = &self.budget {
                        budget.deposit();
                    }
                    return Ok(value);
                }
                Ok(Err(error)) => AttemptError::Failed(error),
                Err(late) => AttemptError::TimedOut(late),
            };
            let jitter = self.backoff.pause(attempts.len() + 1, &mut random);
            let pause = error.retry_after().unwrap_or_default().saturating_add(jitter);
            let next = self.next(&error, &idempotency, attempts.len() + 1, deadline, pause);
            attempts.push(FailedAttempt { error, at, took: began.elapsed() - at });
            match next {
                Ok(paid) => {
                    token = paid;
                    sleep(pause).await;
                }
                Err(why) => return Err(RetryError { why, attempts }),
            }
        }
        // ANCHOR_END: loop
    }

    /// Whether there is to be another attempt, and what it costs; what it means for the caller comes first.
    // ANCHOR: next
    fn next<E: Retryable>(
        &self,
        error: &AttemptError<E>,
        idempotency: &Idempotency,
        made: usize,
        deadline: &Deadline,
        pause: Duration,
    ) -> Result<Option<Token>, GaveUp> {
        if !error.is_retryable() {
            Err(GaveUp::Permanent)
        } else if *idempotency == Idempotency::NotIdempotent && !error.had_no_effect() {
            Err(GaveUp::NotIdempotent)
        } else if made >= self.attempts.get() {
            Err(GaveUp::Attempts)
        } else if !self.fits(deadline, pause) {
            Err(GaveUp::Deadline)
        } else {
            // Last, so that nobody pays for an attempt that is not made.
            let withdraw = |budget: &RetryBudget| budget.withdraw().ok_or(GaveUp::Budget);
            self.budget.as_ref().map(withdraw).transpose()
        }
    }
    // ANCHOR_END: next

    /// Whether an attempt has time after this pause.
    fn fits(&self, deadline: &Deadline, pause: Duration) -> bool {
        let left = deadline.remaining().saturating_sub(pause);
        !left.is_zero() && left >= self.shortest
    }
}
