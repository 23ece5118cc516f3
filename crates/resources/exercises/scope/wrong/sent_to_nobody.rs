//! Breaks `half-open`: closed if `send` fails; but it succeeds a moment before its receiver is dropped.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use resources::{CloseError, ScopeError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

pub const BOUND: Duration = Duration::from_millis(50);

pub type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;

type Closed = Result<(), CloseError<ServerError>>;

async fn closed(session: Session) -> Closed {
    match timeout(BOUND, AssertUnwindSafe(session.close()).catch_unwind()).await {
        Ok(Ok(closed)) => closed.map_err(CloseError::Failed),
        Ok(Err(panic)) => Err(CloseError::Panicked { message: message(&*panic) }),
        Err(_) => Err(CloseError::TimedOut { limit: BOUND }),
    }
}

struct Guard {
    session: Option<Session>,
    tasks: TaskTracker,
    _open: TaskTrackerToken,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            drop(self.tasks.spawn(closed(session)));
        }
    }
}

pub async fn with_session(
    server: Server,
    name: &'static str,
    tasks: TaskTracker,
    body: impl AsyncFnOnce(&mut Session) -> Result<String, ServerError>,
) -> Ended {
    let (give, take) = oneshot::channel();
    tasks.spawn(async move {
        if let Err(Ok(session)) = give.send(server.open(name).await) {
            drop(closed(session).await);
        }
    });
    let opened = take.await.expect("the task sends");
    let session = opened.map_err(ScopeError::NotAcquired)?;
    let mut guard = Guard { session: Some(session), _open: tasks.token(), tasks: tasks.clone() };
    let Some(session) = &mut guard.session else { unreachable!() };
    let ended = AssertUnwindSafe(async { body(session).await }).catch_unwind().await;
    let Some(session) = guard.session.take() else { unreachable!() };
    let closed = tasks.spawn(closed(session)).await.expect("it catches its panics");
    match (ended, closed) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(value)), Err(release)) => Err(ScopeError::NotReleased { value, release }),
        (Ok(Err(body)), closed) => Err(ScopeError::Body { body, release: closed.err() }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| String::from("a panic"))
}
