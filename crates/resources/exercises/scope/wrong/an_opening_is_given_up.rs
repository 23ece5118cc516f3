//! Breaks `half-open`: when nobody waits any more, the opening gets the time of a closing, and is cut off then.

use common::server::{Server, ServerError, Session};
use futures::FutureExt;
use resources::{CloseError, ScopeError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

pub const BOUND: Duration = Duration::from_millis(50);

pub type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;

type Closed = Result<(), CloseError<ServerError>>;

/// Has the session while it is open, and closes it when it is dropped.
struct Guard {
    session: Option<Session>,
    tasks: TaskTracker,
    /// `tasks` is not empty as long as a session is open: the task that opened it has ended, when its output is dropped, and
    /// the one that closes it has not begun.
    _open: TaskTrackerToken,
}

impl Guard {
    /// Once: the session is gone from here, so that the destructor finds nothing to do.
    fn close(&mut self) -> Option<JoinHandle<Closed>> {
        let session = self.session.take()?;
        // A task, and not a future of the caller's: who drops the handle stops nothing. It starts its own clock.
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
        // Whoever was dropped can't wait; `tasks` can.
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
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    // A task, too. It gives the *guard*: if nobody takes its output, that is dropped, and closes what was opened.
    let open = tasks.spawn(async move {
        let opening = server.open(name);
        tokio::pin!(opening);
        let session = tokio::select! {
            biased;
            opened = &mut opening => opened?,
            // Nobody waits any more: no longer than a closing may take.
            () = async { left.cancelled().await; tokio::time::sleep(BOUND).await } => panic!("given up"),
        };
        Ok(Guard { session: Some(session), _open: guards.token(), tasks: guards })
    });
    let mut guard = match open.await {
        Ok(opened) => opened.map_err(ScopeError::NotAcquired)?,
        Err(error) => resume_unwind(error.into_panic()),
    };
    let Some(session) = &mut guard.session else { unreachable!("it was opened with one") };
    // Dropped here, it ends; and then the guard. A panic waits until the session is closed, also one that comes when `body` is
    // called: a plain function may panic before it gives its future.
    let ended = AssertUnwindSafe(async { body(session).await }).catch_unwind().await;
    let closed = match guard.close() {
        // It catches its panics, and nobody aborts it.
        Some(closing) => closing.await.unwrap_or_else(|error| resume_unwind(error.into_panic())),
        None => Ok(()),
    };
    match (ended, closed) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(value)), Err(release)) => Err(ScopeError::NotReleased { value, release }),
        (Ok(Err(body)), closed) => Err(ScopeError::Body { body, release: closed.err() }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    // `panic!("..")` gives a `&str`, `panic!("{name} ..")` a `String`, and `panic_any` whatever it is given.
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| String::from("a panic"))
}
