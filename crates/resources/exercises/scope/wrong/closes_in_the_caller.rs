//! Breaks `closes`: all of it in the lines after an `.await`: dropped in the body, they never run.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use resources::{CloseError, ScopeError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

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

pub async fn with_session(
    server: Server,
    name: &'static str,
    _tasks: TaskTracker,
    body: impl AsyncFnOnce(&mut Session) -> Result<String, ServerError>,
) -> Ended {
    let mut session = server.open(name).await.map_err(ScopeError::NotAcquired)?;
    let ended = AssertUnwindSafe(async { body(&mut session).await }).catch_unwind().await;
    let closed = closed(session).await;
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
