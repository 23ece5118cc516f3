//! A session that is closed, whatever becomes of its user. Task and rules: `cargo run`, or README.md.

use common::server::{Server, ServerError, Session};
use resources::ScopeError;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How long closing may take.
pub const BOUND: Duration = Duration::from_millis(50);

/// The body's value, or what went wrong.
pub type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;

/// Opens a session, lends it to `body`, and closes it.
pub async fn with_session(
    server: Server,
    name: &'static str,
    tasks: TaskTracker,
    body: impl AsyncFnOnce(&mut Session) -> Result<String, ServerError>,
) -> Ended {
    todo!("open {name} with {server:?}, and close it, in {tasks:?} if nobody waits")
}
