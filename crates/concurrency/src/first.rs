//! Ask several, take the first answer, and let nothing run on.
//!
//! `asyncio.wait(..., return_when=FIRST_COMPLETED)` answers one of three questions, and cancels nothing: "first" may be
//! an error, and the others run on. [`of`] takes the attempts; [`First::finished`], [`First::success`] and
//! [`First::successes`] are the three questions, and when one of them returns, every attempt is gone.

mod failure;
mod race;

use crate::Settled;

use race::{Race, Start, here, in_a_task};
use std::{fmt, num::NonZeroUsize, time::Duration};

pub use failure::FirstError;

/// Takes the attempts at one answer: replicas to ask, mirrors to load from, ways to compute.
///
/// Take it where any one answer will do and the attempts may be cancelled half-way. Take a [`gather`](crate::gather())
/// when each outcome matters, and [`tokio::select!`] for a handful of different events, each with an arm of its own.
///
/// The attempts are any iterator of futures; it is pulled when the next attempt is to begin, so one that makes its
/// futures (`(0..3).map(|n| fetch(n))`) is the factory that a [hedge](First::hedged) needs.
///
/// # Examples
/// ```
/// use concurrency::first;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// async fn ask(ms: u64) -> Result<u64, &'static str> {
///     sleep(Duration::from_millis(ms)).await;
///     if ms < 10 { Err("out of order") } else { Ok(ms) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// // The first to finish has failed; the first to succeed is the third.
/// let (attempt, reply) = first::of([ask(30), ask(5), ask(20)]).success().await?;
/// assert_eq!((attempt, reply), (2, 20));
/// # Ok::<_, first::FirstError<u64, &'static str>>(())
/// # }).unwrap();
/// ```
pub fn of<I, F, T, E>(attempts: I) -> First<I::IntoIter, T, E>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>>,
{
    First { attempts: attempts.into_iter(), hedge: None, start: here }
}

/// Several attempts at one answer; a method says what is asked of them.
#[must_use = "no attempt begins before one of the questions is asked, and awaited"]
pub struct First<I: Iterator, T, E> {
    attempts: I,
    hedge: Option<(Duration, NonZeroUsize)>,
    // A function, so that only `in_tasks` asks for what a task needs: other attempts may borrow.
    start: Start<I::Item, T, E>,
}

impl<I, F, T, E> First<I, T, E>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, E>>,
{
    /// Begins with one attempt, and with the next when `delay` has passed since the last one began, or at once when one
    /// has ended without deciding; never more than `limit` are in flight.
    ///
    /// A hedge cuts off the slow tail at the price of a few requests more: take the 95th percentile of the latency for
    /// `delay`, and a twentieth of all requests is made twice. **Only for work that may be done twice**: the server of a
    /// loser may have done all of it. A limit on how many are in flight for *all* callers belongs to the resource.
    ///
    /// # Source
    /// Dean and Barroso, "The Tail at Scale" (2013), for hedged requests; RFC 8305 (happy eyeballs) for starting the
    /// next one at once when one fails.
    pub fn hedged(self, delay: Duration, limit: NonZeroUsize) -> Self {
        Self { hedge: Some((delay, limit)), ..self }
    }

    /// Gives each attempt a task: it runs on any thread, also while the caller is busy, and has to own what it uses.
    ///
    /// The losers are then aborted **and waited for**; without, they are dropped. One that keeps its thread busy and
    /// does not await makes the answer late, but is never left behind.
    pub fn in_tasks(self) -> Self
    where
        F: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        Self { start: in_a_task, ..self }
    }

    /// The first to end, whichever way: which attempt it was, and how it ended.
    ///
    /// Take it when the attempts can't fail, or when a failure decides, too. Mostly it is [`success`](Self::success) that
    /// is wanted: of a replica that refuses the connection and one that answers, the one that refuses is quicker.
    ///
    /// # Shape
    /// n attempts in, one outcome out. All are in flight at once (they must be finite) unless they are
    /// [hedged](Self::hedged). Of several that have ended when the caller looks, the first in input order counts, and an
    /// attempt that has ended counts before another one is begun. A wake-up polls each attempt that is in flight, so this is made for a
    /// handful, or for some hundreds [in tasks](Self::in_tasks).
    ///
    /// On return every other attempt is gone: its destructors have run. Nothing is done for it on the other side of the
    /// network, and a thread of `spawn_blocking` that it has started runs on.
    ///
    /// # Errors
    /// [`FirstError::NotEnoughAttempts`] if there are none. An error or a panic of an attempt is its outcome.
    ///
    /// # Panics
    /// If the iterator panics, or an attempt's destructor; hedged, outside of a runtime that has timers; in tasks,
    /// outside of a runtime. A panic of an attempt is its outcome.
    ///
    /// # Cancel safety
    /// Attempts are dropped at once, and so is an answer in hand. Tasks are aborted: none is polled again, but on a
    /// multi-thread runtime one in the middle of a poll ends that poll, and destructors run when the scheduler next
    /// touches the task.
    ///
    /// # Source
    /// `Promise.race`; `asyncio.wait(return_when=FIRST_COMPLETED)`, which neither cancels nor waits.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Settled, first};
    /// use std::future::{pending, ready};
    /// # use futures_util::FutureExt as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let attempts = [pending().boxed(), ready(Err::<u32, _>("refused")).boxed()];
    /// let (attempt, outcome) = first::of(attempts).finished().await.expect("there are two attempts");
    /// assert_eq!(attempt, 1);
    /// assert!(matches!(outcome, Settled::Failed("refused")));
    /// # });
    /// ```
    pub async fn finished(self) -> Result<(usize, Settled<T, E>), FirstError<T, E>> {
        let mut race = Race::new(self.attempts, self.hedge, self.start);
        let ended = race.next(1).await;
        race.over().await;
        ended.ok_or(FirstError::NotEnoughAttempts { attempts: 0, wanted: 1 })
    }

    /// The first to succeed: which attempt it was, and its value. Failures only count when there is nothing else.
    ///
    /// # Shape
    /// As [`finished`](Self::finished), but an attempt that fails or panics leaves the others in the race.
    ///
    /// # Errors
    /// [`FirstError::TooFew`] with every outcome in input order if none succeeds, and
    /// [`FirstError::NotEnoughAttempts`] if there are none.
    ///
    /// # Panics
    /// As [`finished`](Self::finished).
    ///
    /// # Cancel safety
    /// As [`finished`](Self::finished).
    ///
    /// # Source
    /// `Promise.any`; `select_ok` of `futures`, which keeps one error, hands the losers back alive, and panics on none.
    ///
    /// # Examples
    /// ```
    /// use concurrency::first;
    /// use std::{num::NonZeroUsize, time::Duration};
    /// use tokio::time::{Instant, sleep};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let replicas = [900, 40, 40].map(|ms| async move {
    ///     sleep(Duration::from_millis(ms)).await;
    ///     Ok::<_, std::io::Error>(ms)
    /// });
    /// let two = NonZeroUsize::new(2).expect("two is not zero");
    /// let start = Instant::now();
    /// // The second is asked when the first has not answered after 50 ms, and answers 40 ms later.
    /// let (attempt, _) = first::of(replicas).hedged(Duration::from_millis(50), two).success().await?;
    /// assert_eq!((attempt, start.elapsed()), (1, Duration::from_millis(90)));
    /// # Ok::<_, first::FirstError<u64, std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn success(self) -> Result<(usize, T), FirstError<T, E>> {
        let mut successes = self.successes(NonZeroUsize::MIN).await?;
        // As many as were wanted, or it is an error.
        Ok(successes.swap_remove(0))
    }

    /// The first `wanted` to succeed, in order of completion: a quorum.
    ///
    /// # Shape
    /// As [`success`](Self::success), but `wanted` pairs come out. It gives up as soon as too few attempts are left.
    /// A [hedge](Self::hedged) with a limit below `wanted` takes longer, and is right all the same.
    ///
    /// # Errors
    /// [`FirstError::TooFew`] as soon as the number can't be reached: every outcome in input order, successes too, and
    /// `Cancelled` for those that were stopped. [`FirstError::NotEnoughAttempts`] if that is known before the first began.
    ///
    /// # Panics
    /// As [`finished`](Self::finished).
    ///
    /// # Cancel safety
    /// As [`finished`](Self::finished); values in hand are lost.
    ///
    /// # Source
    /// Quorum reads and writes, as in Dynamo (2007).
    ///
    /// # Examples
    /// ```
    /// use concurrency::first;
    /// use std::{num::NonZeroUsize, time::Duration};
    /// use tokio::time::sleep;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let replicas = [30, 10, 20].map(|ms| async move {
    ///     sleep(Duration::from_millis(ms)).await;
    ///     Ok::<_, std::io::Error>(ms)
    /// });
    /// let two = NonZeroUsize::new(2).expect("two is not zero");
    /// assert_eq!(first::of(replicas).successes(two).await?, [(1, 10), (2, 20)]);
    /// # Ok::<_, first::FirstError<u64, std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn successes(self, wanted: NonZeroUsize) -> Result<Vec<(usize, T)>, FirstError<T, E>> {
        let wanted = wanted.get();
        if let (_, Some(attempts)) = self.attempts.size_hint()
            && attempts < wanted
        {
            return Err(FirstError::NotEnoughAttempts { attempts, wanted });
        }
        let mut race = Race::new(self.attempts, self.hedge, self.start);
        let (mut successes, mut failures) = (Vec::new(), Vec::new());
        while successes.len() < wanted
            && let Some((attempt, outcome)) = race.next(wanted - successes.len()).await
        {
            match outcome {
                Settled::Ok(value) => successes.push((attempt, value)),
                failure => failures.push((attempt, failure)),
            }
        }
        let attempts = race.made;
        race.over().await;
        if successes.len() == wanted {
            return Ok(successes);
        }
        if attempts == 0 {
            return Err(FirstError::NotEnoughAttempts { attempts, wanted });
        }
        let mut outcomes: Vec<Settled<T, E>> = Vec::new();
        outcomes.resize_with(attempts, || Settled::Cancelled);
        let successes = successes.into_iter().map(|(attempt, value)| (attempt, Settled::Ok(value)));
        for (attempt, outcome) in failures.into_iter().chain(successes) {
            outcomes[attempt] = outcome;
        }
        Err(FirstError::TooFew { wanted, outcomes })
    }
}

impl<I: Iterator, T, E> fmt::Debug for First<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("First").field("hedge", &self.hedge).finish_non_exhaustive()
    }
}
