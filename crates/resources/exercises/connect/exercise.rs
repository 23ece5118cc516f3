//! A set-up in steps that leaves nothing half open. Task and rules: `cargo run`, or README.md.

use common::server::{Server, ServerError, Session};
use tokio_util::task::TaskTracker;

/// Everything is open.
pub struct Ready {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl Ready {
    /// Closes everything; gives the errors of that.
    pub async fn close(self) -> Vec<ServerError> {
        todo!("close {:?}, and finish in {:?}", self.sessions, self.tasks)
    }
}

/// Nothing is open.
#[derive(Debug)]
pub struct ConnectError {
    /// What could not be opened.
    pub error: ServerError,
    /// What could not be closed then.
    pub undone: Vec<ServerError>,
}

/// Opens a session for each name, and gives all of them, or none.
pub async fn connect(
    server: Server,
    names: &'static [&'static str],
    tasks: TaskTracker,
) -> Result<Ready, ConnectError> {
    todo!("open {names:?} with {server:?}, and finish in {tasks:?}")
}
