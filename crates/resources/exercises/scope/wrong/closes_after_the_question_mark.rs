//! Breaks `closes`: the `?` after the body leaves the function, and the line that closes is below it.

use common::server::{Server, ServerError, Session};
use resources::{CloseError, ScopeError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub const BOUND: Duration = Duration::from_millis(50);

pub type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;

pub async fn with_session(
    server: Server,
    name: &'static str,
    _tasks: TaskTracker,
    body: impl AsyncFnOnce(&mut Session) -> Result<String, ServerError>,
) -> Ended {
    let mut session = server.open(name).await.map_err(ScopeError::NotAcquired)?;
    let value = body(&mut session).await.map_err(|body| ScopeError::Body { body, release: None })?;
    let release = match timeout(BOUND, session.close()).await {
        Ok(closed) => closed.map_err(CloseError::Failed),
        Err(_) => Err(CloseError::TimedOut { limit: BOUND }),
    };
    match release {
        Ok(()) => Ok(value),
        Err(release) => Err(ScopeError::NotReleased { value, release }),
    }
}
