//! Breaks `panics`: the task dies of the panic, and what it has opened is dropped.

use common::server::{Server, ServerError, Session};
use std::{mem::take, panic::resume_unwind};
use tokio::sync::oneshot;
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
    let (send, receive) = oneshot::channel();
    let theirs = tasks.clone();
    let task = tasks.spawn(async move {
        let mut sessions = Vec::new();
        for name in names {
            if send.is_closed() {
                close_all(sessions).await;
                return;
            }
            match server.open(name).await {
                Ok(session) => sessions.push(session),
                Err(error) => {
                    let undone = close_all(sessions).await;
                    send.send(Err(ConnectError { error, undone })).ok();
                    return;
                }
            }
        }
        drop(send.send(Ok(Ready { sessions, tasks: theirs })));
    });
    match receive.await {
        Ok(connected) => connected,
        Err(_) => resume_unwind(task.await.unwrap_err().into_panic()),
    }
}

async fn close_all(sessions: Vec<Session>) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for session in sessions.into_iter().rev() {
        errors.extend(session.close().await.err());
    }
    errors
}
