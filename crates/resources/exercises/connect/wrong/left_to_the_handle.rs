//! Breaks `tracked`: what a task gives to a handle that is gone is dropped when `tasks` has let go of the task.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use std::{
    mem::take,
    panic::{AssertUnwindSafe, resume_unwind},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub struct Ready {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl Ready {
    pub async fn close(mut self) -> Vec<ServerError> {
        let closing = self.tasks.spawn(close_all(take(&mut self.sessions)));
        closing.await.unwrap_or_default()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if !self.sessions.is_empty() {
            self.tasks.spawn(close_all(take(&mut self.sessions)));
        }
    }
}

#[derive(Debug)]
pub struct ConnectError {
    pub error: ServerError,
    pub undone: Vec<ServerError>,
}

pub async fn connect(
    server: Server,
    names: &'static [&'static str],
    tasks: TaskTracker,
) -> Result<Ready, ConnectError> {
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let theirs = tasks.clone();
    let task = tasks.spawn(async move {
        let mut ready = Ready { sessions: Vec::new(), tasks: theirs };
        for name in names {
            // Half of a `Ready`, but nobody is there to see it, and its destructor closes what it has.
            if left.is_cancelled() {
                break;
            }
            match AssertUnwindSafe(server.open(name)).catch_unwind().await {
                Ok(Ok(session)) => ready.sessions.push(session),
                Ok(Err(error)) => return Err(ConnectError { error, undone: ready.close().await }),
                Err(panic) => {
                    ready.close().await;
                    resume_unwind(panic)
                }
            }
        }
        Ok(ready)
    });
    match task.await {
        Ok(connected) => connected,
        Err(panicked) => resume_unwind(panicked.into_panic()),
    }
}

async fn close_all(sessions: Vec<Session>) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for session in sessions.into_iter().rev() {
        errors.extend(session.close().await.err());
    }
    errors
}
