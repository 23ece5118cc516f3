//! A proof kit for async code: what the exercises' checks and the chapters' own tests stand on.
//!
//! Runs that fail by themselves:
//!
//! | module | what is in it |
//! |---|---|
//! | [`mod@sim`] | a test on the paused clock that fails on deadlocks, leaks, panics of tasks, blocked threads ... |
//! | [`mod@explore`] | the same under a thousand seeded schedules |
//! | [`mod@every_await`] | drops a future at each of its awaits in turn, and says on which line something broke |
//!
//! What is asserted in them:
//!
//! | module | what is in it |
//! |---|---|
//! | [`proof`] | how much ran at once, who was dropped, what the time proves |
//! | [`must`] | futures that must be awaited, errors that must be read |
//! | [`snooze`] | futures that were woken and are not polled |
//! | [`mod@latencies`] | seeded latencies, so that what is asked first is not answered first |
//!
//! What they work with:
//!
//! | module | what is in it |
//! |---|---|
//! | [`real_io`] | a paused clock that stands still while sockets and databases are at work |
//! | [`jobs`] | blocking jobs that wait at a gate, for what runs them on threads |
//! | [`wire`] | byte streams with scripted fragments, latencies and endings |
//! | `database` | a database for each test, SQLite or PostgreSQL (feature `database`) |
//! | [`common::upstream::Upstream`], [`common::Backend`] | scripted services, over loopback HTTP and in memory |
//!
//! For tests and for production:
//!
//! | module | what is in it |
//! |---|---|
//! | [`watchdog`] | reports workers that are stuck in a blocking call or a computation |
//! | [`heartbeat`] | measures how late a runtime is with what is due |
//!
//! For exercises and recorded pictures:
//!
//! | module | what is in it |
//! |---|---|
//! | [`simulation`] | one run on the paused clock: how it ended, what it left behind, its timeline |
//! | [`case`] | a run of an answer, held against the rules of its exercise |
//! | [`calls`] | what many checks ask of the calls that an answer made |
//! | [`trial`] | an answer that is a test itself, held against right and wrong programs |
//! | [`mod@judge`] | the program that judges one answer, and never hangs |
//! | [`answers`] | proves that a check accepts what is right and rejects what is wrong |
//! | [`goldens`] | recorded timelines, compared with the ones on file |

mod activity;
pub mod answers;
mod bell;
pub mod calls;
pub mod case;
mod complaints;
#[cfg(feature = "database")]
pub mod database;
pub mod every_await;
pub mod explore;
pub mod goldens;
pub mod heartbeat;
pub mod jobs;
pub mod judge;
pub mod latencies;
pub mod must;
mod panics;
pub mod proof;
pub mod real_io;
pub mod sim;
pub mod simulation;
pub mod snooze;
mod stacks;
mod stuck;
pub mod trial;
pub mod watchdog;
pub mod wire;

pub use case::{Case, Checked, verdict};
#[cfg(feature = "database")]
pub use database::Database;
pub use every_await::every_await;
pub use explore::explore;
pub use heartbeat::Heartbeat;
pub use jobs::Jobs;
pub use judge::judge;
pub use latencies::latencies;
pub use must::{must_await, must_read};
pub use real_io::with_real_io;
pub use sim::sim;
pub use simulation::simulate;
pub use watchdog::Watchdog;
pub use wire::Wire;
