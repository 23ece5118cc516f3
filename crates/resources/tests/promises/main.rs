//! What each pattern promises, a promise a test. One binary for all: linking is what costs the time.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod connect;
#[cfg(feature = "database")]
mod database;
mod exit_stack;
#[cfg(feature = "http")]
mod http_client;
mod lifespan;
mod pool;
mod scope;
#[cfg(feature = "database")]
mod transaction;
