//! Locks that are taken together, always in the same order.
//!
//! Two tasks that each hold one lock and want the other's wait for ever; in asyncio as here, and no runtime says a word.
//! The cure is older than both: everybody takes locks in one order. [`lock_both`] and [`lock_all`] have one, that of the
//! addresses, so that callers may name locks in whichever order suits them.
//!
//! Of the other three deadlocks that async code is known for, each is cured by a habit, and not by a function:
//!
//! | deadlock | cure |
//! |---|---|
//! | *futurelock*: an arm of `select!` awaits what a future beside it, not polled meanwhile, was given | await both with `join!`, or give the future a task (`AbortOnDropHandle` of tokio-util) |
//! | `buffered(n)` whose items hold a permit, and a loop that wants one | let the item do it all, or [`bounded`](mod@crate::bounded) |
//! | a full blocking pool whose jobs wait for jobs | never wait for the pool inside of it |
//!
//! Better than two locks is one, around what belongs together, or none: one task that owns it all.

use std::ptr;
use tokio::sync::{Mutex, MutexGuard};

/// The same lock was given twice: waiting for it would be waiting for oneself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("lock {second} is lock {first} once more")]
#[non_exhaustive]
pub struct SameLock {
    /// The position at which it was given first, from 0.
    pub first: usize,
    /// The position at which it was given again.
    pub second: usize,
}

/// Locks two mutexes, of the same type or not, and never waits for somebody who does so in the other order.
///
/// Take it where two things change together and each has a lock of its own: a transfer between accounts. Take
/// [`lock_all`] for more than two of one type; a single lock around both if they are always locked together.
///
/// # Shape
/// Both guards, in the order of the arguments. The one with the lower address is locked first; the other one is then waited
/// for with the first in hand. Addresses do not change while anybody waits: a mutex that is borrowed is not moved.
///
/// It orders the locks of one call. Who holds a third lock already has an order of their own: release it first, or ask for
/// all in one call.
///
/// # Errors
/// [`SameLock`], at once, if both are the same mutex.
///
/// # Cancel safety
/// No lock is kept; a place in the queue of a lock is lost. Polled once and put aside, it keeps its place, and the locks that
/// it has: see [futurelock](self).
///
/// # Source
/// `std::lock` of C++, which backs off and tries again; here the order makes that needless.
///
/// # Examples
/// ```
/// use concurrency::lock_both;
/// use tokio::sync::Mutex;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (savings, giro) = (Mutex::new(50), Mutex::new(50));
/// let transfer = async |from, to| -> Result<(), concurrency::deadlock::SameLock> {
///     let (mut from, mut to) = lock_both(from, to).await?;
///     *from -= 10;
///     *to += 10;
///     Ok(())
/// };
/// let (there, back) = tokio::join!(transfer(&savings, &giro), transfer(&giro, &savings));
/// assert_eq!((there, back), (Ok(()), Ok(())));
/// assert!(transfer(&giro, &giro).await.is_err());
/// # });
/// ```
pub async fn lock_both<'a, A: ?Sized, B: ?Sized>(
    a: &'a Mutex<A>,
    b: &'a Mutex<B>,
) -> Result<(MutexGuard<'a, A>, MutexGuard<'a, B>), SameLock> {
    // ANCHOR: lock_both
    if address(a) == address(b) {
        return Err(SameLock { first: 0, second: 1 });
    }
    if address(a) < address(b) {
        let a = a.lock().await;
        Ok((a, b.lock().await))
    } else {
        let b = b.lock().await;
        Ok((a.lock().await, b))
    }
    // ANCHOR_END: lock_both
}

/// Locks every mutex of a list, and never waits for somebody who does so in another order.
///
/// # Shape
/// n mutexes in, n guards out, guard i of mutex i. They are locked one after the other by rising address: who waits for the
/// last holds all the others. For long lists, a single lock is kinder.
///
/// # Errors
/// [`SameLock`], at once, if one is given twice.
///
/// # Panics
/// If the iterator panics.
///
/// # Cancel safety
/// As [`lock_both`].
///
/// # Examples
/// ```
/// use concurrency::lock_all;
/// use tokio::sync::Mutex;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let seats = ["A", "B", "C"].map(Mutex::new);
/// let guards = lock_all([&seats[2], &seats[0]]).await?;
/// assert_eq!(guards.iter().map(|seat| **seat).collect::<String>(), "CA");
/// # Ok::<(), concurrency::deadlock::SameLock>(())
/// # }).unwrap();
/// ```
pub async fn lock_all<'a, T: ?Sized + 'a>(
    locks: impl IntoIterator<Item = &'a Mutex<T>>,
) -> Result<Vec<MutexGuard<'a, T>>, SameLock> {
    let mut in_order: Vec<(usize, &'a Mutex<T>)> = locks.into_iter().enumerate().collect();
    in_order.sort_by_key(|(_, lock)| address(lock));
    let twice = in_order.windows(2).filter(|pair| address(pair[0].1) == address(pair[1].1));
    // Of several, the first in the list, wherever they lie.
    if let Some(same) = twice.min_by_key(|pair| pair[1].0) {
        // The sort is stable: of the same lock, the first comes first.
        return Err(SameLock { first: same[0].0, second: same[1].0 });
    }
    let mut guards = Vec::with_capacity(in_order.len());
    for (place, lock) in in_order {
        guards.push((place, lock.lock().await));
    }
    guards.sort_by_key(|(place, _)| *place);
    Ok(guards.into_iter().map(|(_, guard)| guard).collect())
}

/// Where it lies. No two mutexes that are there at the same time lie in the same place: none is without a size.
fn address<T: ?Sized>(lock: &Mutex<T>) -> usize {
    ptr::from_ref(lock).cast::<()>().addr()
}
