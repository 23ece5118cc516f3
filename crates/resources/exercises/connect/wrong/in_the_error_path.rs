//! Breaks `panics`: who panics does not come to the lines that close, and nor does who is dropped.

use common::server::{Server, ServerError, Session};
use std::mem::take;
use tokio_util::task::TaskTracker;

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
    let mut sessions = Vec::new();
    for name in names {
        match server.open(name).await {
            Ok(session) => sessions.push(session),
            Err(error) => {
                let undone = close_all(sessions).await;
                return Err(ConnectError { error, undone });
            }
        }
    }
    Ok(Ready { sessions, tasks })
}

async fn close_all(sessions: Vec<Session>) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for session in sessions.into_iter().rev() {
        errors.extend(session.close().await.err());
    }
    errors
}
