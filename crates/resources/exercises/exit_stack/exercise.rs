//! Closes what was opened, last in, first out, whoever is gone by then. Task and rules: `cargo run`, or README.md.

use common::server::{ServerError, Session};
use resources::CloseError;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How long each closing may take.
pub const LIMIT: Duration = Duration::from_millis(50);

/// Sessions, in the order in which they were opened.
pub struct ExitStack {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl ExitStack {
    /// An empty stack. What outlives its caller goes to `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        Self { sessions: Vec::new(), tasks }
    }

    /// From now on the stack closes `session`.
    pub fn push(&mut self, session: Session) {
        self.sessions.push(session);
    }

    /// Closes all sessions; gives the names and the errors of those that did not close well.
    pub async fn close(self) -> Vec<(String, CloseError<ServerError>)> {
        todo!("close {:?} within {LIMIT:?} each, and finish in {:?}", self.sessions, self.tasks)
    }
}
