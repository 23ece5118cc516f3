//! What has to be given back: on success, on an error, on a panic, and when the caller is gone.
//!
//! What one borrows:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//! | [`mod@pool`] | a few of what is dear to open, lent to many | what it has goes back, or is closed if it was in the middle | [`Pooled`], or a [`PoolError`] that names who has them |
//!
//! What one opens and closes:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//! | [`mod@scope`] | what is used in one function, and released with an await | a [`Reaper`] finishes what has begun, and releases it | the body's value, or [`ScopeError`]: what the body said, and what releasing did |
//! | [`mod@exit_stack`] | as many as there are, closed last in, first out | the reaper closes what is left, in the same order | [`exit_stack::Closed`]: what was closed, and each error with its name |
//! | [`mod@connect`] | a set-up in steps: all of it, or nothing half open | the reaper undoes the steps, the last one first | a [`Ready`] value, or [`ConnectError`]: why, and what became of undoing |
//! | [`Lifespan`] | components that start in order and stop in reverse, each with a bound | everything is aborted, in no order | a report that names each, and how it ended |
//!
//! What talks to the outside:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//! | [`transaction()`] | statements of which all count or none (feature `database`) | rolled back before anybody borrows the connection; a COMMIT that was sent runs to its end | the body's value, or a [`TxError`] that says whether anything was written |
//! | [`mod@http_client`] | calls to a service over HTTP, with a limit at every level | the request is given up, its connection closed, its place free | the answer, or an error that says whether anything was sent |
//! | [`mod@database`] | a pool of sqlx that says why it has none left, and migrations | the connection goes back, with nothing open | a [`database::Lease`], or the [cause](database::AcquireError) |
//!
//! Each pattern is one file, or one with a folder, that can be read on its own. To copy one takes, besides `close.rs`:
//!
//! | pattern | what else it needs |
//! |---|---|
//! | `lifespan`, `scope` | nothing |
//! | `http_client` | nothing, and not `close.rs` either |
//! | `exit_stack` | `scope` |
//! | `connect` | `scope` and `exit_stack` |
//! | `pool`, `transaction`, `database` | `nesting.rs`, which detects nested use |

mod close;
mod nesting;

pub mod connect;
#[cfg(feature = "database")]
pub mod database;
pub mod exit_stack;
#[cfg(feature = "http")]
pub mod http_client;
pub mod lifespan;
pub mod pool;
pub mod scope;
#[cfg(feature = "database")]
pub mod transaction;

pub use close::CloseError;
pub use connect::{ConnectError, Ready, connect};
#[cfg(feature = "database")]
pub use database::{PoolSettings, with_connection};
pub use exit_stack::{BoxError, ExitStack, Lent, NotClosed};
#[cfg(feature = "http")]
pub use http_client::HttpClient;
pub use lifespan::{Lifespan, signals};
pub use pool::{Pool, PoolError, Pooled};
pub use scope::{Drained, Reaper, ScopeError, Scoped, scope};
#[cfg(feature = "database")]
pub use transaction::{TransactionOptions, TxError, savepoint, transaction};
