//! The pieces of `testing::proof`: what each rejects, and that right programs pass.
#![expect(
    clippy::disallowed_methods,
    reason = "a few futures at once, and a moment of real time, are what is asked for"
)]

mod envelope;
mod gauge;
mod ledger;
mod panics;
mod rendezvous;
mod right_programs;

use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
