//! Breaks `bound`: handed over to a task, the closing in hand gets its whole time again.

use common::server::{ServerError, Session};
use futures::{FutureExt, future::BoxFuture};
use resources::CloseError;
use std::{mem::take, panic::AssertUnwindSafe, time::Duration};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub const LIMIT: Duration = Duration::from_millis(50);

type Failures = Vec<(String, CloseError<ServerError>)>;

pub struct ExitStack {
    sessions: Vec<Session>,
    /// What is being closed.
    closing: Option<BoxFuture<'static, Result<(), ServerError>>>,
    tasks: TaskTracker,
}

impl ExitStack {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { sessions: Vec::new(), closing: None, tasks }
    }

    pub fn push(&mut self, session: Session) {
        self.sessions.push(session);
    }

    pub async fn close(mut self) -> Failures {
        let mut failures = Vec::new();
        while let Some(session) = self.sessions.pop() {
            let name = session.name().to_owned();
            let closing = self.closing.insert(session.close().boxed());
            if let Err(error) = close_one(closing).await {
                failures.push((name, error));
            }
            self.closing = None;
        }
        failures
    }
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        let (closing, sessions) = (self.closing.take(), take(&mut self.sessions));
        if closing.is_some() || !sessions.is_empty() {
            self.tasks.spawn(async move {
                if let Some(mut closing) = closing {
                    close_one(&mut closing).await.ok();
                }
                for session in sessions.into_iter().rev() {
                    close_one(&mut session.close().boxed()).await.ok();
                }
            });
        }
    }
}

async fn close_one(
    closing: &mut BoxFuture<'static, Result<(), ServerError>>,
) -> Result<(), CloseError<ServerError>> {
    match timeout(LIMIT, AssertUnwindSafe(closing).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(CloseError::Failed(error)),
        Ok(Err(payload)) => {
            Err(CloseError::Panicked { message: *payload.downcast::<String>().unwrap_or_default() })
        }
        Err(_) => Err(CloseError::TimedOut { limit: LIMIT }),
    }
}
