//! Breaks `both`: the value is there, so nobody is told that the session was not closed.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use resources::{CloseError, ScopeError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

pub const BOUND: Duration = Duration::from_millis(50);

pub type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;

type Closed = Result<(), CloseError<ServerError>>;

struct Guard {
    session: Option<Session>,
    tasks: TaskTracker,
    _open: TaskTrackerToken,
}

impl Guard {
    fn close(&mut self) -> Option<JoinHandle<Closed>> {
        let session = self.session.take()?;
        Some(self.tasks.spawn(async move {
            match timeout(BOUND, AssertUnwindSafe(session.close()).catch_unwind()).await {
                Ok(Ok(closed)) => closed.map_err(CloseError::Failed),
                Ok(Err(panic)) => Err(CloseError::Panicked { message: message(&*panic) }),
                Err(_) => Err(CloseError::TimedOut { limit: BOUND }),
            }
        }))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.close());
    }
}

pub async fn with_session(
    server: Server,
    name: &'static str,
    tasks: TaskTracker,
    body: impl AsyncFnOnce(&mut Session) -> Result<String, ServerError>,
) -> Ended {
    let guards = tasks.clone();
    let open = tasks.spawn(async move {
        let session = server.open(name).await?;
        Ok(Guard { session: Some(session), _open: guards.token(), tasks: guards })
    });
    let mut guard = match open.await {
        Ok(opened) => opened.map_err(ScopeError::NotAcquired)?,
        Err(error) => resume_unwind(error.into_panic()),
    };
    let Some(session) = &mut guard.session else { unreachable!("it was opened with one") };
    let ended = AssertUnwindSafe(async { body(session).await }).catch_unwind().await;
    let closed = match guard.close() {
        Some(closing) => closing.await.unwrap_or_else(|error| resume_unwind(error.into_panic())),
        None => Ok(()),
    };
    match (ended, closed) {
        (Ok(Ok(value)), _) => Ok(value),
        (Ok(Err(body)), closed) => Err(ScopeError::Body { body, release: closed.err() }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| String::from("a panic"))
}
