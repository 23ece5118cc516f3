//! Breaks `bound`: the limit drops a handle, and the task behind it goes on with its closing.

use common::server::{ServerError, Session};
use resources::CloseError;
use std::{mem::take, time::Duration};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub const LIMIT: Duration = Duration::from_millis(50);

type Failures = Vec<(String, CloseError<ServerError>)>;

pub struct ExitStack {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl ExitStack {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { sessions: Vec::new(), tasks }
    }

    pub fn push(&mut self, session: Session) {
        self.sessions.push(session);
    }

    pub async fn close(mut self) -> Failures {
        let closing = self.tasks.spawn(close_all(take(&mut self.sessions)));
        closing.await.unwrap_or_default()
    }
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        if !self.sessions.is_empty() {
            self.tasks.spawn(close_all(take(&mut self.sessions)));
        }
    }
}

async fn close_all(sessions: Vec<Session>) -> Failures {
    let mut failures = Vec::new();
    for session in sessions.into_iter().rev() {
        let name = session.name().to_owned();
        let closing = tokio::spawn(session.close());
        let error = match timeout(LIMIT, closing).await {
            Ok(Ok(Ok(()))) => continue,
            Ok(Ok(Err(error))) => CloseError::Failed(error),
            Ok(Err(error)) => CloseError::Panicked { message: error.to_string() },
            Err(_) => CloseError::TimedOut { limit: LIMIT },
        };
        failures.push((name, error));
    }
    failures
}
