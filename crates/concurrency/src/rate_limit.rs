//! So many requests a second, and so many at once.
//!
//! Quotas of APIs are counted in requests *per second*; memory, connections and GPU slots are used up by requests *at
//! once*. A semaphore limits the second and not the first: the quicker the answers, the more requests a second. A
//! [`RateLimit`] has both, in one queue.

mod per_key;
mod rate;

use governor::{RateLimiter, middleware::NoOpMiddleware, state::InMemoryState, state::NotKeyed};
use rate::TokioClock;
use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{self, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

pub use per_key::PerKey;
pub use rate::Rate;

/// How long a pause is at most. Later than any process ends, and early enough to be added to any clock.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// Lets requests begin at a [`Rate`], with at most so many of them in flight.
///
/// Clones are handles to the same limit: make one for each resource that has a quota, and give it to everybody who uses
/// it. A limit for each call would let two callers have twice as much. Take a semaphore when only what is in flight
/// counts, and [`PerKey`] for a limit for each host or tenant.
///
/// # Shape
/// Over every stretch of time t, requests of at most `burst + rate * t` in weight begin; after however long an idle time,
/// `burst` at once. While somebody waits, one begins as soon as it may. Waiting is one queue, in the order of the first
/// polls, for the rate and for the places alike: nobody overtakes, and a heavy request is not starved by light ones (it
/// holds up those behind it instead).
///
/// tokio's timers tick in milliseconds, and who comes a little late would lose what had come in since, if there were no
/// room to keep it: the rate is reached when a burst lasts a millisecond longer than one request. `burst(2)` is enough
/// up to 1,000 a second; above, a burst of `rate / 1000 + 1`.
///
/// # Source
/// The generic cell rate algorithm (ITU-T I.371) of [`governor`], on tokio's clock. Its own `until_ready` waits on a
/// timer of its own, which no paused clock drives, and without a queue.
///
/// # Examples
/// ```
/// use concurrency::{Rate, RateLimit};
/// use std::{num::{NonZeroU32, NonZeroUsize}, time::Duration};
/// use tokio::time::Instant;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let (ten, two) = (NonZeroU32::new(10).unwrap(), NonZeroU32::new(2).unwrap());
/// let limit = RateLimit::new(Rate::per_second(ten).burst(two), NonZeroUsize::new(8).unwrap());
/// let start = Instant::now();
/// for _ in 0..5 {
///     let permit = limit.acquire().await;
///     // ... the request ...
///     drop(permit);
/// }
/// // Two at once, then one each 100 ms.
/// assert_eq!(start.elapsed(), Duration::from_millis(300));
/// # });
/// ```
#[derive(Clone)]
pub struct RateLimit(Arc<Shared>);

struct Shared {
    rate: Rate,
    /// Held while it is tried: nobody else takes for a request what is only the look whether there is one.
    trying: Mutex<()>,
    /// What a request spends. It is never given back: the server has counted it.
    tokens: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    limit: usize,
    /// What a request holds until its permit is dropped.
    places: Arc<Semaphore>,
    /// Who holds it is next. One queue for both: with two, a token would be spent on waiting for a place, and those who
    /// had one would all begin together when places become free.
    turn: sync::Mutex<()>,
    /// The weight of all who wait. Whoever comes while it is not zero joins the queue.
    waiting: AtomicU64,
    /// A std mutex: it is held for a comparison, never across an await.
    paused_until: Mutex<Instant>,
}

/// The right to make one request; drop it when the request has ended.
#[derive(Debug)]
#[must_use = "dropped at once, it limits nothing that is in flight"]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    /// A limit with permits is in use, and is not forgotten by [`PerKey`].
    _limit: RateLimit,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The rate is used up. Come back then: as a server, answer 429 with `Retry-After`.
    #[error("the rate is used up; again in {retry_after:?}")]
    NotYet {
        /// When nobody waits, exactly when it will do; in a pause, its end. When others wait, the time in which all of
        /// them get their turn, if none waits for a place.
        retry_after: Duration,
    },
    /// As many are in flight as may be, and nobody can tell when one will end: wait, or shed (503).
    #[error("all {places} places are taken")]
    Full {
        /// How many may be in flight.
        places: usize,
    },
    /// It will never do: split the work, or raise the burst.
    #[error("a weight of {weight} is more than a burst, {burst}")]
    TooHeavy {
        /// What was asked for.
        weight: NonZeroU32,
        /// The most that can be had at once.
        burst: NonZeroU32,
    },
    /// All keys are in use: shed, or keep room for more.
    #[error("all {keys} keys are in use")]
    TooManyKeys {
        /// How many are kept.
        keys: usize,
    },
}

impl RateLimit {
    /// A limit that nobody has used yet: a whole burst is there.
    #[must_use]
    pub fn new(rate: Rate, places: NonZeroUsize) -> Self {
        Self(Arc::new(Shared {
            rate,
            tokens: RateLimiter::direct_with_clock(rate.quota(), TokioClock::starting_now()),
            trying: Mutex::new(()),
            limit: places.get(),
            places: Arc::new(Semaphore::new(places.get().min(Semaphore::MAX_PERMITS))),
            turn: sync::Mutex::new(()),
            waiting: AtomicU64::new(0),
            paused_until: Mutex::new(Instant::now()),
        }))
    }

    /// Waits for a turn to make one request.
    ///
    /// # Shape
    /// See [`RateLimit`].
    ///
    /// # Panics
    /// Outside of a runtime that has timers, if it has to wait.
    ///
    /// # Cancel safety
    /// Its place in the queue is lost, and nothing else: nothing is spent before the permit is there, so whoever is
    /// behind moves up, and begins no later than if this had never come. A permit that is dropped gives its place
    /// back; what it has spent stays spent. Polled once and put aside, it keeps its place in the queue, and nobody behind it
    /// moves: see [deadlock](crate::deadlock).
    ///
    /// # Source
    /// `AsyncLimiter` of Python's aiolimiter, which has no limit on what is in flight.
    ///
    /// # Examples
    /// See [`RateLimit`].
    pub async fn acquire(&self) -> Permit {
        // The lightest there is: it fits into any burst.
        self.take(NonZeroU32::MIN).await
    }

    /// Waits for a turn to make a request that counts as `weight`: rows, tokens, the points of a GraphQL query.
    ///
    /// # Shape
    /// See [`RateLimit`]. It holds one place, whatever its weight.
    ///
    /// # Errors
    /// [`Refused::TooHeavy`], at once, if it is heavier than a burst.
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Rate, RateLimit, rate_limit::Refused};
    /// use std::num::{NonZeroU32, NonZeroUsize};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let n = |n| NonZeroU32::new(n).unwrap();
    /// let limit = RateLimit::new(Rate::per_minute(n(1_000)).burst(n(100)), NonZeroUsize::MIN);
    /// assert!(limit.acquire_many(n(80)).await.is_ok());
    /// let refused = limit.acquire_many(n(101)).await.unwrap_err();
    /// assert_eq!(refused, Refused::TooHeavy { weight: n(101), burst: n(100) });
    /// # });
    /// ```
    pub async fn acquire_many(&self, weight: NonZeroU32) -> Result<Permit, Refused> {
        self.fits(weight)?;
        Ok(self.take(weight).await)
    }

    /// A permit if there is one now, without waiting: for servers, which say no instead.
    ///
    /// # Errors
    /// [`Refused`], which says when to come back. Whoever waits in [`acquire`](Self::acquire) was here before.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Rate, RateLimit, rate_limit::Refused};
    /// use std::{num::{NonZeroU32, NonZeroUsize}, time::Duration};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let one = NonZeroU32::MIN;
    /// let limit = RateLimit::new(Rate::per_second(NonZeroU32::new(4).unwrap()), NonZeroUsize::MAX);
    /// let first = limit.try_acquire(one);
    /// let again = limit.try_acquire(one).unwrap_err();
    /// assert_eq!(again, Refused::NotYet { retry_after: Duration::from_millis(250) });
    /// # drop(first);
    /// # });
    /// ```
    pub fn try_acquire(&self, weight: NonZeroU32) -> Result<Permit, Refused> {
        self.fits(weight)?;
        let _trying = self.0.trying.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.0.waiting.load(Relaxed);
        if waiting > 0 {
            let all = self.0.rate.time_for(waiting.saturating_add(weight.get().into()));
            let paused = self.0.paused_until().saturating_duration_since(Instant::now());
            return Err(Refused::NotYet { retry_after: all.saturating_add(paused) });
        }
        let Ok(place) = self.0.places.clone().try_acquire_owned() else {
            return Err(Refused::Full { places: self.0.limit });
        };
        match self.0.spend(weight) {
            Ok(()) => Ok(Permit { _place: place, _limit: self.clone() }),
            Err(at) => Err(Refused::NotYet { retry_after: at.saturating_duration_since(Instant::now()) }),
        }
    }

    /// Lets nobody begin for so long: what to do when the server answers 429 with `Retry-After`, which is for everybody
    /// who shares the quota. What is in flight goes on. A pause can be made longer, and never shorter.
    ///
    /// What comes in meanwhile is kept, up to a burst, which then begins at once.
    pub fn pause(&self, retry_after: Duration) {
        let until = Instant::now() + retry_after.min(FAR);
        let mut paused = self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = until.max(*paused);
    }

    fn fits(&self, weight: NonZeroU32) -> Result<(), Refused> {
        let burst = self.0.rate.most();
        if weight > burst { Err(Refused::TooHeavy { weight, burst }) } else { Ok(()) }
    }

    // ANCHOR: take
    async fn take(&self, weight: NonZeroU32) -> Permit {
        // Nobody waits and all is there: no need to queue.
        if let Ok(permit) = self.try_acquire(weight) {
            return permit;
        }
        let _waiting = Waiting::new(&self.0.waiting, weight);
        let _turn = self.0.turn.lock().await;
        // The place first: a token that is spent on waiting for one would be a request that begins at any later time.
        let place = self.0.places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        // Nothing is reserved. Who is dropped here has spent nothing, and the next in the queue finds it all.
        while let Err(at) = self.0.spend(weight) {
            sleep_until(at).await;
        }
        Permit { _place: place, _limit: self.clone() }
    }
    // ANCHOR_END: take

    /// Whether a new limit in its place would not be noticed. Asked by whoever holds the only handle: nobody waits, then,
    /// and nothing is in flight.
    fn is_like_new(&self) -> bool {
        // A whole burst is there only if nothing has been spent that has not come in again; in a pause it is not to be had.
        Arc::strong_count(&self.0) == 1 && self.0.spend(self.0.rate.most()).is_ok()
    }
}

impl Shared {
    /// Spends it, or says when to try again.
    fn spend(&self, weight: NonZeroU32) -> Result<(), Instant> {
        let paused = self.paused_until();
        if paused > Instant::now() {
            return Err(paused);
        }
        match self.tokens.check_n(weight) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(self.tokens.clock().at(not_until.earliest_possible())),
            Err(_) => unreachable!("a weight above the burst is refused before it gets here"),
        }
    }

    fn paused_until(&self) -> Instant {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.0.waiting.load(Relaxed);
        f.debug_struct("RateLimit")
            .field("rate", &self.0.rate)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

/// Somebody in the queue, until dropped.
struct Waiting<'a>(&'a AtomicU64, u64);

impl<'a> Waiting<'a> {
    fn new(all: &'a AtomicU64, weight: NonZeroU32) -> Self {
        let weight = weight.get().into();
        all.fetch_add(weight, Relaxed);
        Self(all, weight)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Relaxed);
    }
}
