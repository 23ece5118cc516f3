//! Ask for many things, and get a report: what there is, and what there is not and why, each under its key.
//!
//! The usual asyncio code catches every exception inside the child and appends its text to a list of errors. Which key
//! it was, whether asking again may help, and whether it was an outage or a bug, is then gone. [`partial`] keeps the
//! values apart from the failures, both with their keys and in input order; [`partial_until`] stops asking when that has
//! become pointless, and says of each key that it was not asked for.
//!
//! It stands on [`gather`](mod@crate::gather), which bounds the tasks and cleans up.

mod report;

pub use report::{Failure, Report};

use crate::{Panic, Retryable, Settled, gather};

use futures_util::FutureExt as _;
use std::{
    any::Any,
    iter::from_fn,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

/// When to stop asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// After so many failures of any kind: a budget of errors, for a list of which most has to be there.
    After(NonZeroUsize),
    /// After so many failures in a row that may pass, in the order in which they ended: nobody answers any more, and to
    /// go on would only keep the source down. A value starts the count anew, and so does an error that will not pass:
    /// who says "no such item" is there. A panic is our own, and leaves the count as it is.
    InARow(NonZeroUsize),
}

/// Runs `work` on every key, at most `limit` at a time, and reports.
///
/// Take it when part of an answer is of use, and somebody has to learn what is missing: the pages of a crawl, the rows of
/// an import. Take [`gather()`] when what comes back has to stay in line with what went in, a task group when a part is of
/// no use, [`partial_until`] when the source may be down altogether.
///
/// # Shape
/// Each key comes back once, with its value or with its failure; equal keys are not merged. Both lists are in input order.
/// Keys are pulled when there is room for them. At most `limit` tasks are alive at once, and exactly `limit` while there
/// is work. `work` borrows the key only to make its future, which owns what it needs: the key stays here for the report.
///
/// Make what the calls share, such as an HTTP client, before, and let `work` clone it.
///
/// # Errors
/// None of its own: an error or a panic is the failure of its key.
///
/// # Panics
/// If the iterator panics, or outside a tokio runtime. A panic of `work`, before or after its first await, is the failure
/// of its key.
///
/// # Cancel safety
/// Values and failures in hand are lost. Every task is aborted: none is polled again, but on a multi-thread runtime a task
/// in the middle of a poll ends that poll, and destructors run when the scheduler next touches the task.
///
/// # Source
/// `Promise.allSettled` with keys; the partition of `Vec<Result<..>>` that most Rust code writes by hand, which loses the
/// keys or the panics.
///
/// # Examples
/// ```
/// use concurrency::{partial, partial::Failure};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limit = NonZeroUsize::new(2).expect("two is not zero");
/// let report = partial(["7", "x", "9"], limit, |text| {
///     let text = text.to_string();
///     async move { text.parse::<i32>() }
/// })
/// .await;
/// assert_eq!(report.ok, [("7", 7), ("9", 9)]);
/// assert!(matches!(report.failed.as_slice(), [("x", Failure::Failed(_))]));
/// # });
/// ```
pub async fn partial<I, W, F, T, E>(keys: I, limit: NonZeroUsize, work: W) -> Report<I::Item, T, E>
where
    I: IntoIterator,
    W: FnMut(&I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    reported(keys, limit, work, || false, |_| {}).await
}

/// Like [`partial`], but begins nothing more once `give_up` says so.
///
/// # Shape
/// As [`partial`]. When it gives up, what is in flight is **seen to its end**, because a call that is dropped half-way may
/// or may not have had its effect; its values count. All keys that had not begun come back as [`Failure::NotStarted`].
/// They are drained from the iterator, so it must be finite.
///
/// # Errors
/// As [`partial`].
///
/// # Panics
/// As [`partial`].
///
/// # Cancel safety
/// As [`partial`].
///
/// # Source
/// The error budget of batch systems (`max_failures` of a job), and the condition on which a circuit breaker opens.
///
/// # Examples
/// ```
/// use concurrency::{GiveUp, Retryable, partial_until, partial::Failure};
/// use std::num::NonZeroUsize;
///
/// #[derive(Debug)]
/// struct Down;
/// impl Retryable for Down {
///     fn is_retryable(&self) -> bool {
///         true
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let n = |n| NonZeroUsize::new(n).expect("not zero");
/// let report = partial_until(GiveUp::InARow(n(3)), 1..=1000, n(1), |_| async { Err::<(), _>(Down) }).await;
/// let asked = report.failed.iter().filter(|(_, why)| !matches!(why, Failure::NotStarted)).count();
/// assert_eq!((asked, report.failed.len()), (3, 1000));
/// # });
/// ```
pub async fn partial_until<I, W, F, T, E>(
    give_up: GiveUp,
    keys: I,
    limit: NonZeroUsize,
    work: W,
) -> Report<I::Item, T, E>
where
    I: IntoIterator,
    W: FnMut(&I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Retryable + Send + 'static,
{
    // Shared with the tasks, which count as they end: that is before their places are free.
    let counted = Arc::new(Tally { give_up, failures: Mutex::new(0) });
    let asked = counted.clone();
    reported(keys, limit, work, move || asked.is_over(), move |outcome| counted.note(outcome)).await
}

async fn reported<I, W, F, T, E>(
    keys: I,
    limit: NonZeroUsize,
    mut work: W,
    is_over: impl Fn() -> bool,
    note: impl Fn(&Result<T, Failure<E>>) + Clone + Send + 'static,
) -> Report<I::Item, T, E>
where
    I: IntoIterator,
    W: FnMut(&I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    // ANCHOR: how
    let mut keys = keys.into_iter().fuse();
    let mut begun = Vec::new();
    // `gather` pulls from this when it has room. At its end, `keys` holds what was not begun.
    let calls = from_fn(|| {
        let key = if is_over() { None } else { keys.next() }?;
        let made = catch_unwind(AssertUnwindSafe(|| work(&key)));
        begun.push(key);
        Some((made, note.clone()))
    });
    let settled = gather(calls, limit, |(made, note)| async move {
        // Caught here, and not by `gather`, because a panic counts in the moment in which it happens.
        let outcome = match made {
            Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
            Err(payload) => Err(payload),
        };
        let outcome = outcome.map_err(panicked).and_then(|result| result.map_err(Failure::Failed));
        note(&outcome);
        outcome
    })
    .await;
    // ANCHOR_END: how

    let mut report = Report { ok: Vec::new(), failed: Vec::new() };
    for (key, outcome) in begun.into_iter().zip(settled) {
        match outcome {
            Settled::Ok(value) => report.ok.push((key, value)),
            Settled::Failed(failure) => report.failed.push((key, failure)),
            Settled::Panicked(panic) => report.failed.push((key, Failure::Panicked(panic))),
            Settled::Cancelled => report.failed.push((key, Failure::Cancelled)),
        }
    }
    report.failed.extend(keys.map(|key| (key, Failure::NotStarted)));
    report
}

fn panicked<E>(payload: Box<dyn Any + Send>) -> Failure<E> {
    Failure::Panicked(Panic::new(payload))
}

/// Counts failures until there are enough.
struct Tally {
    give_up: GiveUp,
    failures: Mutex<usize>,
}

impl Tally {
    fn note<T, E: Retryable>(&self, outcome: &Result<T, Failure<E>>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        // Once it is over, it is over: what was in flight may still answer.
        if *failures >= self.enough() {
            return;
        }
        match (self.give_up, outcome) {
            (GiveUp::After(_), Err(_)) => *failures += 1,
            (GiveUp::InARow(_), Err(Failure::Failed(error))) if error.is_retryable() => *failures += 1,
            (GiveUp::InARow(_), Ok(_) | Err(Failure::Failed(_))) => *failures = 0,
            (GiveUp::After(_), Ok(_)) | (GiveUp::InARow(_), Err(_)) => {}
        }
    }

    fn is_over(&self) -> bool {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) >= self.enough()
    }

    const fn enough(&self) -> usize {
        let (GiveUp::After(failures) | GiveUp::InARow(failures)) = self.give_up;
        failures.get()
    }
}
