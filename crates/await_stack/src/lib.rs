//! Where a future waits: its await stack, on stable Rust.
//!
//! A future that gives `Pending` must have kept a clone of its waker. [`poll`] lends the future a waker whose `clone`
//! takes a backtrace: the stack of calls at that moment is the chain of awaits, from the primitive that waits out to
//! whoever was polled. The lines come from the debug information: a build without any has none.
//!
//! This crate is apart from the proof kit because a waker that notices its being cloned can't be had without unsafe
//! code: it is here, and nowhere else in the workspace.

mod spy;
mod stack;

pub use spy::{Waiting, poll};
pub use stack::{Frame, Stack};
