//! Breaks `steps`: the session is opened over a socket that is not there yet.

use common::server::{Server, ServerError, Session};
use futures::{FutureExt, future::join_all};
use std::{
    mem::take,
    panic::{AssertUnwindSafe, resume_unwind},
};
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
    let theirs = tasks.clone();
    let task = tasks.spawn(async move {
        let opening = names.iter().map(|name| AssertUnwindSafe(server.open(name)).catch_unwind());
        let mut ready = Ready { sessions: Vec::new(), tasks: theirs };
        let (mut failed, mut panic) = (None, None);
        for opened in join_all(opening).await {
            match opened {
                Ok(Ok(session)) => ready.sessions.push(session),
                Ok(Err(error)) => failed = Some(error),
                Err(payload) => panic = Some(payload),
            }
        }
        match (failed, panic) {
            (None, None) => Ok(ready),
            (failed, panic) => {
                let undone = close_all(take(&mut ready.sessions)).await;
                panic.map_or_else(
                    || Err(failed.map(|error| ConnectError { error, undone })),
                    |panic| resume_unwind(panic),
                )
            }
        }
    });
    match task.await {
        Ok(Ok(ready)) => Ok(ready),
        Ok(Err(Some(error))) => Err(error),
        Ok(Err(None)) => unreachable!(),
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
