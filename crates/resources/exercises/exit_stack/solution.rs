//! One function owns all the sessions, and a task runs it: the caller only waits, or does not.

use common::server::{ServerError, Session};
use futures::FutureExt;
use resources::CloseError;
use std::{mem::take, panic::AssertUnwindSafe, time::Duration};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub const LIMIT: Duration = Duration::from_millis(50);

type Failures = Vec<(String, CloseError<ServerError>)>;

pub struct ExitStack {
    sessions: Vec<Session>,
    tasks: TaskTracker,
}

impl ExitStack {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { sessions: Vec::new(), tasks }
    }

    pub fn push(&mut self, session: Session) {
        self.sessions.push(session);
    }

    pub async fn close(mut self) -> Failures {
        // A task from the start, and not only when this is dropped: nobody can drop it in the middle of a closing.
        let closing = self.tasks.spawn(close_all(take(&mut self.sessions)));
        // It does not panic, and nobody aborts it but a runtime that goes down.
        closing.await.unwrap_or_default()
    }
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        // Empty after `close`, which has taken them; or nobody has called that, or nobody has polled it.
        if !self.sessions.is_empty() {
            self.tasks.spawn(close_all(take(&mut self.sessions)));
        }
    }
}

async fn close_all(sessions: Vec<Session>) -> Failures {
    let mut failures = Vec::new();
    for session in sessions.into_iter().rev() {
        let name = session.name().to_owned();
        // The limit is outside: a closing that hangs is dropped, and with it what it held.
        let ended = timeout(LIMIT, AssertUnwindSafe(session.close()).catch_unwind()).await;
        let error = match ended {
            Ok(Ok(Ok(()))) => continue,
            Ok(Ok(Err(error))) => CloseError::Failed(error),
            Ok(Err(payload)) => CloseError::Panicked { message: message(&*payload) },
            Err(_) => CloseError::TimedOut { limit: LIMIT },
        };
        failures.push((name, error));
    }
    failures
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    // `panic!("..")` gives a `&str`, `panic!("{name} ..")` a `String`.
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
