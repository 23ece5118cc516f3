//! Breaks `order`: quicker, but what was opened last may need the others while it closes.

use common::server::{ServerError, Session};
use futures::{FutureExt, future::join_all};
use resources::CloseError;
use std::{mem::take, panic::AssertUnwindSafe, time::Duration};
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
    let closings = sessions.into_iter().rev().map(async |session| {
        let name = session.name().to_owned();
        close_one(session).await.err().map(|error| (name, error))
    });
    join_all(closings).await.into_iter().flatten().collect()
}

async fn close_one(session: Session) -> Result<(), CloseError<ServerError>> {
    match timeout(LIMIT, AssertUnwindSafe(session.close()).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(CloseError::Failed(error)),
        Ok(Err(payload)) => {
            Err(CloseError::Panicked { message: *payload.downcast::<String>().unwrap_or_default() })
        }
        Err(_) => Err(CloseError::TimedOut { limit: LIMIT }),
    }
}
