//! All or nothing.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex as Moment, MutexGuard, PoisonError},
};
use tokio::sync::{Mutex as Turn, MutexGuard as MyTurn};

/// A value that is changed in drafts: what is in it was committed, and no half change is ever seen.
///
/// Take it for a change that awaits in the middle. Take a std `Mutex` when it doesn't, and [`own`](super::own) when the
/// change is to be brought to its end although its caller has gone. A draft is a copy: for a large value keep one
/// `Committed` for each part that changes by itself, an account and not a bank.
///
/// # Examples
/// ```
/// use concurrency::shared_state::Committed;
/// use std::time::Duration;
/// use tokio::time::{sleep, timeout};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let accounts = Committed::new([50, 50]);
/// let transfer = async {
///     let mut draft = accounts.begin().await;
///     draft[0] -= 10;
///     sleep(Duration::from_millis(20)).await; // somebody is asked whether it may be
///     draft[1] += 10;
///     draft.commit();
/// };
/// assert!(timeout(Duration::from_millis(5), transfer).await.is_err());
/// assert_eq!(*accounts.snapshot(), [50, 50], "neither the one nor the other");
/// # });
/// ```
pub struct Committed<T> {
    /// Locked while a pointer is copied or replaced, never across an await: whoever reads waits for no writer. Nothing in
    /// there can panic half way, so that a poisoned one is whole, too.
    value: Moment<Arc<T>>,
    /// Held across awaits, and for that it protects nothing but the turn. tokio's is fair: whoever came first is next.
    turn: Turn<()>,
}

impl<T> Committed<T> {
    /// The first value.
    pub fn new(value: T) -> Self {
        Self { value: Moment::new(Arc::new(value)), turn: Turn::new(()) }
    }

    /// What was committed last. It does not change any more: the next commit puts another one in its place.
    pub fn snapshot(&self) -> Arc<T> {
        self.moment().clone()
    }

    /// Waits for its turn, and gives a copy to work on: one at a time, in the order in which they came.
    ///
    /// # Shape
    /// Drafts follow each other: each begins with what the one before has committed, so that no update is lost. Nobody
    /// who reads a [`snapshot`](Self::snapshot) waits for one. Who begins a second draft of the same value while holding
    /// the first waits for ever; who needs two values begins them in the same order everywhere.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it gives up its place in the queue; polled once and put aside, it keeps it: see
    /// [deadlock](crate::deadlock). The [`Draft`] is what makes the rest safe.
    pub async fn begin(&self) -> Draft<'_, T>
    where
        T: Clone,
    {
        let turn = self.turn.lock().await;
        Draft { value: T::clone(&self.snapshot()), cell: self, _turn: turn }
    }

    fn moment(&self) -> MutexGuard<'_, Arc<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Committed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Committed").field(&self.snapshot()).finish()
    }
}

/// A copy to work on. Dropped without [`commit`](Self::commit), by an error, a panic or a cancellation, it changes nothing.
///
/// It may be held across awaits; the next one waits for it.
#[derive(Debug)]
#[must_use = "without `commit` nothing is changed"]
pub struct Draft<'a, T> {
    value: T,
    cell: &'a Committed<T>,
    _turn: MyTurn<'a, ()>,
}

impl<T> Draft<'_, T> {
    /// Puts it in place, in one step without an await: there is nowhere to be dropped half way.
    pub fn commit(self) {
        let value = Arc::new(self.value);
        // What was there before is dropped after the lock: its destructor is not ours.
        let before = std::mem::replace(&mut *self.cell.moment(), value);
        drop(before);
    }
}

impl<T> Deref for Draft<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Draft<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
