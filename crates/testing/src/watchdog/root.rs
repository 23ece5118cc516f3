//! The future that drives a current-thread runtime.

use super::seats::Seats;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pin_project! {
    /// The future of a `block_on`, made known to a [`Watchdog`](super::Watchdog); made by
    /// [`root`](super::Watchdog::root).
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless polled"]
    pub struct Root<F> {
        #[pin]
        future: F,
        wheel: Wheel,
    }
}

impl<F> Root<F> {
    pub(super) fn new(future: F, seats: Option<Arc<Seats>>, number: u64) -> Self {
        Self { future, wheel: Wheel { seats, number } }
    }
}

impl<F> fmt::Debug for Root<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Root<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(seats) = &this.wheel.seats {
            seats.drive(this.wheel.number);
        }
        let poll = this.future.poll(cx);
        if poll.is_ready() {
            // A caller that gave a reference to `block_on` may keep this.
            this.wheel.leave();
        }
        poll
    }
}

/// Nobody drives any more once it is dropped.
struct Wheel {
    seats: Option<Arc<Seats>>,
    number: u64,
}

impl Wheel {
    fn leave(&self) {
        if let Some(seats) = &self.seats {
            seats.leave(self.number);
        }
    }
}

impl Drop for Wheel {
    fn drop(&mut self) {
        self.leave();
    }
}
