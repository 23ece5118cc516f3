//! A waker that remembers having been woken.

use crate::panics;
use futures_util::task::AtomicWaker;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Passes each wake-up on, and remembers that there was one since the last poll.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
    /// How many panics there had been when a task that panicked rang; 0 if none has since the last poll.
    panics: AtomicUsize,
}

impl Bell {
    /// Polls `future`: what wakes it, rings.
    pub(crate) fn poll<F: Future + ?Sized>(
        self: &Arc<Self>,
        future: Pin<&mut F>,
        cx: &Context<'_>,
    ) -> Poll<F::Output> {
        self.task.register(cx.waker());
        self.rung.store(false, SeqCst);
        let since = self.panics.swap(0, SeqCst);
        if since > 0 {
            panics::forgive_from(since);
        }
        future.poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    /// Whether it was woken and not polled since.
    pub(crate) fn rung(&self) -> bool {
        self.rung.load(SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        if panics::woken() {
            self.panics.store(panics::count(), SeqCst);
        }
        self.task.wake();
    }
}

/// A future that is polled when it was woken, and not whenever its task is: that would hide a wake-up which it has lost.
pub(crate) struct OnlyWhenWoken<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    begun: bool,
}

impl<F: Future> OnlyWhenWoken<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: Arc::default(), begun: false }
    }

    /// The future inside.
    pub(crate) fn inside(&mut self) -> Pin<&mut F> {
        self.future.as_mut()
    }
}

impl<F: Future> Future for OnlyWhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.begun && !self.bell.rung() {
            self.bell.task.register(cx.waker());
            // Rung in between, it would have woken the waker before.
            if !self.bell.rung() {
                return Poll::Pending;
            }
        }
        self.begun = true;
        let bell = self.bell.clone();
        bell.poll(self.inside(), cx)
    }
}
