//! Breaks `all`: a panic in one closing takes the task, and with it the sessions that were to follow.

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
        self.tasks.spawn(close_all(take(&mut self.sessions))).await.unwrap_or_default()
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
        if let Err(error) = close_one(session).await {
            failures.push((name, error));
        }
    }
    failures
}

async fn close_one(session: Session) -> Result<(), CloseError<ServerError>> {
    match timeout(LIMIT, session.close()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CloseError::Failed(error)),
        Err(_) => Err(CloseError::TimedOut { limit: LIMIT }),
    }
}
