//! Concurrency proved of code of one's own: bounded, really concurrent, over when it says so, and as fast as it can be.
//!
//! | piece | proves | a wrong program that it rejects |
//! |---|---|---|
//! | [`Gauge`] | the upper bound: how many were in flight, exactly | one that starts everything at once |
//! | [`Rendezvous`] | the lower bound: so many can be in flight | one that is serial where nothing takes time |
//! | [`Ledger`] | each future's end: finished, dropped, panicked, never polled; before what | one that returns and leaves work behind |
//! | [`Envelope`] | the time: that of the best schedule and no other | one that works in chunks |
//!
//! Each question comes twice: `check_*` gives a [`Mismatch`], for graders and for [`every_await`](crate::every_await());
//! `assert_*` panics with it, at the line of the test. A mismatch says what was expected and seen, and has the timeline.
//!
//! Each piece has a timeline of its own, which begins with its first use; `on` has it draw into one that others share.
//! Clones are handles to the same piece, so one can stay outside of a simulated run and be asked when that is over.
//!
//! # Examples
//! ```
//! use common::clock;
//! use futures_util::{StreamExt as _, stream};
//! use std::time::Duration;
//! use testing::proof::Gauge;
//! use tokio::time::sleep;
//!
//! clock::paused(async {
//!     let gauge = Gauge::new();
//!     let calls = (1..=10).map(|n| gauge.hold(format!("call {n}"), sleep(Duration::from_millis(10))));
//!     stream::iter(calls).buffer_unordered(3).count().await;
//!     gauge.assert_peak(3);
//!     gauge.assert_total(10);
//!     gauge.assert_idle();
//! });
//! ```

mod envelope;
mod gauge;
mod ledger;
mod line;
mod mismatch;
mod rendezvous;
mod schedule;
mod timeline;
mod watched;

pub use envelope::Envelope;
pub use gauge::{Gauge, Inside};
pub use ledger::Ledger;
pub use line::{End, Line};
pub use mismatch::Mismatch;
pub use rendezvous::Rendezvous;
pub use watched::{Entry, Watched};
