//! What every chapter shares.
//!
//! | module | what is in it |
//! |---|---|
//! | [`trace`] | what each future did, and when: the data behind a timeline |
//! | [`draw`] | a [`Trace`] as terminal text, SVG or words |
//! | [`verdict`] | what came of checking an answer |
//! | `clock` | the paused clock, and processor time that passes on it |
//! | `recorder` | `Recorder`: wrap a future with a name, and it writes the trace |
//! | `backend` | an in-memory service with scripted latencies and failures |
//! | `database` | a database behind a pool: who holds a connection, who waited in vain |
//! | `http` | HTTP in memory: a host, and a client whose connections are counted |
//! | `server` | a server whose sessions have to be closed, with a log of each |
//! | `shop` | a shop's stock, bank and book of orders |
//! | `upstream` | a loopback HTTP server with scripted delays, statuses and faults |
//! | `web` | a website and its client in memory: statuses, headers, orders, idempotency keys |
//!
//! The last nine need tokio and the feature `runtime`; the workshop program only draws, and does without.

pub mod draw;
pub mod trace;
pub mod verdict;

#[cfg(feature = "runtime")]
pub mod backend;
#[cfg(feature = "runtime")]
pub mod clock;
#[cfg(feature = "runtime")]
pub mod database;
#[cfg(feature = "runtime")]
pub mod http;
#[cfg(feature = "runtime")]
pub mod recorder;
#[cfg(feature = "runtime")]
pub mod server;
#[cfg(feature = "runtime")]
pub mod shop;
#[cfg(feature = "runtime")]
pub mod upstream;
#[cfg(feature = "runtime")]
pub mod web;

pub use trace::Trace;
pub use verdict::Verdict;

#[cfg(feature = "runtime")]
pub use backend::Backend;
#[cfg(feature = "runtime")]
pub use recorder::Recorder;
