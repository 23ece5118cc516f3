//! Breaks `dropped`: when the caller has left, the step in hand gets a little while, and is cut off then.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use std::{
    mem::take,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

// No `Option` in it: whoever has one, has all.
pub struct Ready {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl Ready {
    pub async fn close(mut self) -> Vec<ServerError> {
        // A task from the start: dropped in the middle, only the await is gone.
        let closing = self.tasks.spawn(close_all(take(&mut self.sessions)));
        closing.await.unwrap_or_default()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // Empty after `close`.
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
    let (mut send, receive) = oneshot::channel();
    let theirs = tasks.clone();
    tasks.spawn(async move {
        let mut sessions = Vec::new();
        for name in names {
            // The caller's end of the channel is dropped with the caller.
            if send.is_closed() {
                close_all(sessions).await;
                return;
            }
            // The panic waits until the others are closed.
            let opening = AssertUnwindSafe(server.open(name)).catch_unwind();
            tokio::pin!(opening);
            let opened = tokio::select! {
                biased;
                opened = &mut opening => opened,
                // Nobody waits any more: it gets a little while.
                () = async { send.closed().await; tokio::time::sleep(Duration::from_millis(50)).await } => {
                    close_all(sessions).await;
                    return;
                }
            };
            match opened {
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
        // Has the caller left in this very moment, it comes back from `send`, or is dropped in the channel: either way its
        // destructor closes what it has.
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
        errors.extend(session.close().await.err());
    }
    errors
}
