//! What the exercises' checks and the chapters' own tests stand on.
//!
//! | module | what is in it |
//! |---|---|
//! | [`simulation`] | one run on the paused clock: how it ended, what it left behind, its timeline |
//! | [`case`] | a run of an answer, held against the rules of its exercise |
//! | [`mod@judge`] | the program that judges one answer, and never hangs |
//! | [`answers`] | proves that a check accepts what is right and rejects what is wrong |
//! | [`mod@every_await`] | drops a future at each of its awaits in turn |
//! | [`goldens`] | recorded timelines, compared with the ones on file |
//! | [`mod@latencies`] | seeded latencies, so that what is asked first is not answered first |

pub mod answers;
mod bell;
pub mod case;
mod complaints;
pub mod every_await;
pub mod explore;
pub mod goldens;
pub mod judge;
pub mod latencies;
pub mod must;
mod panics;
pub mod sim;
pub mod simulation;
pub mod snooze;
mod stacks;
mod stuck;

pub use case::{Case, Checked, verdict};
pub use every_await::every_await;
pub use explore::explore;
pub use judge::judge;
pub use latencies::latencies;
pub use must::{must_await, must_read};
pub use sim::sim;
pub use simulation::simulate;
