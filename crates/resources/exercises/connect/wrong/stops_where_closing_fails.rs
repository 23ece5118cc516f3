//! Breaks `undone`: a session that can't be closed is no reason to leave the others open.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use std::{
    mem::take,
    panic::{AssertUnwindSafe, resume_unwind},
};
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
    tasks.spawn(async move {
        let mut sessions = Vec::new();
        for name in names {
            if send.is_closed() {
                close_all(sessions).await;
                return;
            }
            match AssertUnwindSafe(server.open(name)).catch_unwind().await {
                Ok(Ok(session)) => sessions.push(session),
                Ok(Err(error)) => {
                    let undone = close_all(sessions).await;
                    send.send(Ok(Err(ConnectError { error, undone }))).ok();
                    return;
                }
                Err(panic) => {
                    close_all(sessions).await;
                    send.send(Err(panic)).ok();
                    return;
                }
            }
        }
        drop(send.send(Ok(Ok(Ready { sessions, tasks: theirs }))));
    });
    match receive.await {
        Ok(Ok(connected)) => connected,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("the runtime is gone, and with it the task"),
    }
}

async fn close_all(sessions: Vec<Session>) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for session in sessions.into_iter().rev() {
        if let Err(error) = session.close().await {
            errors.push(error);
            break;
        }
    }
    errors
}
