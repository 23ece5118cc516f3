use super::{End, Ledger, timeline::Span};
use common::recorder::Recorded;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
    thread,
};

/// A future whose life is booked; made by [`Ledger::watch`].
///
/// # Cancel safety
/// As cancel safe as the future inside.
#[must_use = "futures do nothing unless polled"]
pub struct Watched<F: Future> {
    // Boxed, so that no pin has to be projected; and dropped before its line is closed.
    future: Pin<Box<Recorded<F>>>,
    place: Place,
}

/// A line of the ledger, closed on drop, whatever the way out.
#[derive(Debug)]
struct Place {
    ledger: Ledger,
    index: usize,
}

impl Place {
    fn open(ledger: &Ledger, name: &str) -> Self {
        let born = ledger.timeline.now();
        let index = ledger.lock().open(name.to_owned(), born);
        Self { ledger: ledger.clone(), index }
    }

    fn begin(&self) {
        let now = self.ledger.timeline.now();
        self.ledger.lock().begin(self.index, now);
    }

    fn close(&self, end: End) {
        let now = self.ledger.timeline.now();
        self.ledger.lock().close(self.index, end, now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.close(End::Dropped);
    }
}

impl<F: Future> Watched<F> {
    pub(super) fn new(ledger: &Ledger, name: String, future: F) -> Self {
        let place = Place::open(ledger, &name);
        Self { future: Box::pin(ledger.timeline.recorder().lane(name, future)), place }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, place } = &mut *self;
        place.begin();
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                place.close(End::Finished);
                Poll::Ready(output)
            }
            Err(payload) => {
                place.close(End::Panicked);
                resume_unwind(payload)
            }
        }
    }
}

impl<F: Future> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("line", &self.place.index).finish_non_exhaustive()
    }
}

/// A guard whose life is booked; made by [`Ledger::entry`]. Dropped, it ends as dropped, or as panicked.
#[derive(Debug)]
#[must_use = "without the guard its line is closed at once"]
pub struct Entry {
    span: Span,
    place: Place,
}

impl Entry {
    pub(super) fn new(ledger: &Ledger, name: String) -> Self {
        let place = Place::open(ledger, &name);
        place.begin();
        Self { span: Span::begin(&ledger.timeline, name), place }
    }

    /// Ends it as finished.
    pub fn finish(mut self) {
        self.span.finish();
        self.place.close(End::Finished);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if thread::panicking() {
            self.place.close(End::Panicked);
        }
    }
}
