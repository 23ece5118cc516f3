//! The waker that notices its being cloned.

use crate::stack::{Stack, read};
use std::{
    backtrace::Backtrace,
    mem::ManuallyDrop,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

/// Where a future waits: one backtrace for each clone of its waker, not resolved yet.
#[derive(Debug, Default)]
pub struct Waiting(Vec<Backtrace>);

impl Waiting {
    /// The await stacks, one for each thing that is waited for: one in a plain `.await`, several in a `join!` or a
    /// `select!`. Empty if the future kept no waker, and so can't be woken.
    ///
    /// Resolving symbols takes milliseconds, and the first time in a process a good part of a second.
    #[must_use]
    pub fn stacks(&self) -> Vec<Stack> {
        self.0.iter().map(read).collect()
    }

    /// Whether no clone of the waker was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Polls `future` and says where it waits, should it give `Pending`.
///
/// What the future keeps are clones of the real waker, so that this poll has no after-effects.
///
/// # Source
/// The technique is that of the crate tasktrace (2023), and of tokio's own task dumps, which are not stable.
///
/// # Examples
/// ```
/// use std::{pin::pin, task::{Context, Waker}};
///
/// async fn answer(receiver: tokio::sync::oneshot::Receiver<u8>) -> u8 {
///     receiver.await.unwrap_or_default() // here it waits
/// }
///
/// let (_sender, receiver) = tokio::sync::oneshot::channel();
/// let mut cx = Context::from_waker(Waker::noop());
/// let (poll, waiting) = await_stack::poll(pin!(answer(receiver)), &mut cx);
/// assert!(poll.is_pending());
/// for stack in waiting.stacks() {
///     println!("waits at {stack}"); // src/main.rs:4
/// }
/// ```
#[inline(never)] // `stack` knows it by its name.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>, cx: &mut Context<'_>) -> (Poll<F::Output>, Waiting) {
    let spy = Spy { waker: cx.waker(), seen: Mutex::default() };
    let poll = spy.lend(|waker| future.poll(&mut Context::from_waker(waker)));
    (poll, Waiting(spy.seen.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// What stands behind the waker that is lent.
struct Spy<'a> {
    waker: &'a Waker,
    /// A backtrace for each clone. A lock, because a waker may be used from any thread.
    seen: Mutex<Vec<Backtrace>>,
}

impl Spy<'_> {
    #[inline(never)] // `stack` knows it by its name.
    #[expect(unsafe_code, reason = "a waker that notices its being cloned needs a vtable of its own")]
    fn lend<T>(&self, to: impl FnOnce(&Waker) -> T) -> T {
        // SAFETY: the functions keep the contract of `RawWakerVTable`, and are thread-safe, as `Spy` is. The data is a
        // `&Spy` in every call, since only this line makes a raw waker with this vtable: `cloned` gives out one with
        // another. It is valid in every call: the waker is only lent, for less than the life of `self`.
        let waker = unsafe { Waker::new(std::ptr::from_ref(self).cast(), &VTABLE) };
        to(&waker)
    }
}

/// `wake` takes a waker by value; nobody can, because what is lent is a reference, and what is cloned is real. To drop
/// there is nothing: the waker owns nothing.
static VTABLE: RawWakerVTable = RawWakerVTable::new(cloned, woken, woken, |_| {});

#[inline(never)] // `stack` knows it by its name.
#[expect(unsafe_code, reason = "the spy behind the pointer")]
fn cloned(data: *const ()) -> RawWaker {
    // SAFETY: see `Spy::lend`. The lifetime is that of the call.
    let spy = unsafe { &*data.cast::<Spy<'_>>() };
    spy.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Backtrace::force_capture());
    // The count that is taken here is given away.
    let clone = ManuallyDrop::new(spy.waker.clone());
    RawWaker::new(clone.data(), clone.vtable())
}

#[expect(unsafe_code, reason = "the spy behind the pointer")]
fn woken(data: *const ()) {
    // SAFETY: see `Spy::lend`.
    let spy = unsafe { &*data.cast::<Spy<'_>>() };
    spy.waker.wake_by_ref();
}
