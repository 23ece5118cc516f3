//! Breaks `order`: the stacks that were dropped are closed one after the other, and each waits for strangers.

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
        let closing = self.tasks.spawn(close_all(take(&mut self.sessions)));
        closing.await.unwrap_or_default()
    }
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        if !self.sessions.is_empty() {
            static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
            let sessions = take(&mut self.sessions);
            self.tasks.spawn(async move {
                let _one = ONE.lock().await;
                close_all(sessions).await;
            });
        }
    }
}

async fn close_all(sessions: Vec<Session>) -> Failures {
    let mut failures = Vec::new();
    for session in sessions.into_iter().rev() {
        let name = session.name().to_owned();
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
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
