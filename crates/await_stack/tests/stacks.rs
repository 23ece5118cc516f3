//! What the stacks say, against lines that this file knows.

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::sync::{Barrier, Mutex, Notify, Semaphore, mpsc, oneshot};

/// The lines of this file at which `future` waits: of each stack, all of them, the innermost first.
fn lines(future: impl Future) -> Vec<Vec<u32>> {
    let (poll, waiting) = await_stack::poll(pin!(future), &mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
    let own = |stack: &await_stack::Stack| {
        stack.frames.iter().filter(|frame| frame.is_own()).map(|frame| frame.line).collect()
    };
    waiting.stacks().iter().map(own).collect()
}

async fn locks(lock: &Mutex<u8>) -> u8 {
    *lock.lock().await
}
const LOCKS: u32 = line!() - 2;

#[test]
fn the_innermost_own_line_is_the_await() {
    let lock = Mutex::new(1);
    let _held = lock.try_lock();
    let here = line!() + 1;
    assert_eq!(lines(async { locks(&lock).await }), [[LOCKS, here]]);
}

#[test]
fn every_primitive_of_tokio_says_where() {
    let (empty, _receiver) = mpsc::channel::<u8>(1);
    let (full, mut receiver) = mpsc::channel::<u8>(1);
    full.try_send(1).expect("there is room for one");
    let (_sender, mut once) = oneshot::channel::<u8>();
    let (notify, semaphore, barrier) = (Notify::new(), Semaphore::new(0), Barrier::new(2));
    let here = line!();
    let waiting = [
        lines(async { full.send(2).await }),
        lines(async { full.reserve().await.map(drop) }),
        lines(async { notify.notified().await }),
        lines(async { semaphore.acquire().await.map(drop) }),
        lines(async { barrier.wait().await }),
        lines(async { (&mut once).await }),
        lines(async { empty.closed().await }),
    ];
    let expected: Vec<Vec<Vec<u32>>> = (here + 2..).take(7).map(|line| vec![vec![line]]).collect();
    assert_eq!(waiting.to_vec(), expected);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(lines(async { receiver.recv().await }), [[line!()]]);
}

#[test]
fn several_that_are_waited_for_are_several_stacks() {
    let notify = Notify::new();
    let first = line!() + 2;
    let waiting = lines(async {
        tokio::join!(async { notify.notified().await }, async {
            notify.notified().await;
        })
    });
    let innermost: Vec<u32> = waiting.iter().map(|stack| stack[0]).collect();
    assert_eq!(innermost, [first, first + 1]);
}

#[test]
fn what_keeps_no_waker_has_no_stack() {
    assert!(lines(pending::<()>()).is_empty());
}

#[test]
fn a_set_with_wakers_of_its_own_says_where_the_set_is_awaited() {
    let notify = Notify::new();
    let mut set: FuturesUnordered<_> = [notify.notified().boxed_local()].into_iter().collect();
    assert_eq!(lines(async { set.next().await }), [[line!()]]);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn what_the_future_keeps_is_the_real_waker() {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let (sender, mut receiver) = oneshot::channel();
    let mut cx = Context::from_waker(&waker);
    assert!(await_stack::poll(pin!(&mut receiver), &mut cx).0.is_pending());
    drop(waker);
    assert_eq!(sender.send(7), Ok(()));
    assert_eq!(bell.0.load(Relaxed), 1);
    assert_eq!(receiver.now_or_never(), Some(Ok(7)));
    assert_eq!(Arc::strong_count(&bell), 1, "no clone is left");
}

#[test]
fn a_wake_up_during_the_poll_reaches_the_real_waker() {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let wakes = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(await_stack::poll(pin!(wakes), &mut Context::from_waker(&waker)).0.is_pending());
    assert_eq!(bell.0.load(Relaxed), 1);
}

#[test]
fn a_poll_inside_a_poll_keeps_them_apart_and_so_does_a_panic() {
    let notify = Notify::new();
    let outer = poll_fn(|cx| {
        let (_, inner) = await_stack::poll(pin!(notify.notified()), cx);
        assert_eq!(inner.stacks().len(), 1);
        let panics =
            || await_stack::poll(pin!(poll_fn(|_| -> Poll<()> { panic!("inside") })), cx).1.is_empty();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        Poll::<()>::Pending
    });
    // What is cloned inside is a clone of the outer waker too.
    let waiting = await_stack::poll(pin!(outer), &mut Context::from_waker(Waker::noop())).1;
    assert!(!waiting.is_empty());
}
