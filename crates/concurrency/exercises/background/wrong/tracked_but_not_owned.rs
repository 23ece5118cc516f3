//! Breaks `nothing-left`: a `TaskTracker` waits for tasks and does not own them: dropped in the middle, `serve` leaves them all behind.

use super::check::{Incident, Operator};
use common::{Backend, backend::FetchError};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, Receiver, UnboundedReceiver},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PRICES: u32 = 1;
const AUDIT: u32 = 1000;
const MAIL: u32 = 2000;

const EVERY: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(50);
const FAILURES: u32 = 4;
const GRACE: Duration = Duration::from_millis(300);

pub async fn serve(
    backend: Backend,
    mut orders: Receiver<u32>,
    operator: Operator,
    shutdown: CancellationToken,
) {
    let tasks = Tasks { tracker: TaskTracker::new(), handles: Arc::default(), operator: operator.clone() };
    let refreshing = tokio::spawn(refresher(backend.clone(), operator.clone()));
    let (audit, lines) = mpsc::unbounded_channel();
    tasks.spawn(String::from("audit"), audit_log(backend.clone(), lines, operator));
    loop {
        let order = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            order = orders.recv() => order,
        };
        let Some(order) = order else { break };
        tasks.spawn(format!("mail {order}"), mail(backend.clone(), order));
        audit.send(order).ok();
    }
    refreshing.abort();
    drop(audit);
    tasks.tracker.close();
    if timeout(GRACE, tasks.tracker.wait()).await.is_err() {
        for handle in tasks.handles.lock().unwrap().iter() {
            handle.abort();
        }
        tasks.tracker.wait().await;
    }
}

/// Tasks with names.
struct Tasks {
    tracker: TaskTracker,
    handles: Arc<Mutex<Vec<AbortHandle>>>,
    operator: Operator,
}

impl Tasks {
    fn spawn(&self, name: String, task: impl Future<Output = Result<(), FetchError>> + Send + 'static) {
        let task = tokio::spawn(task);
        self.handles.lock().unwrap().push(task.abort_handle());
        let operator = self.operator.clone();
        self.tracker.spawn(async move {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => operator.tell(name, Incident::Failed(error)),
                Err(error) if error.is_panic() => operator.tell(name, Incident::panicked(error.into_panic())),
                Err(_) => operator.tell(name, Incident::Aborted),
            }
        });
    }
}

async fn caught<T: Send + 'static>(
    work: impl Future<Output = Result<T, FetchError>> + Send + 'static,
) -> Result<T, Incident> {
    use futures::FutureExt as _;
    match std::panic::AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result.map_err(Incident::Failed),
        Err(payload) => Err(Incident::panicked(payload)),
    }
}

async fn refresher(backend: Backend, operator: Operator) {
    let mut failures = 0;
    while failures < FAILURES {
        match caught(backend.fetch(PRICES)).await {
            Ok(_) => {
                failures = 0;
                sleep(EVERY).await;
            }
            Err(incident) => {
                operator.tell("refresher", incident);
                failures += 1;
                if failures < FAILURES {
                    sleep(PAUSE * 2_u32.pow(failures - 1)).await;
                }
            }
        }
    }
    operator.tell("refresher", Incident::GivenUp);
}

async fn audit_log(
    backend: Backend,
    mut lines: UnboundedReceiver<u32>,
    operator: Operator,
) -> Result<(), FetchError> {
    while let Some(order) = lines.recv().await {
        if let Err(incident) = caught(backend.fetch(AUDIT + order)).await {
            operator.tell("audit", incident);
        }
    }
    Ok(())
}

async fn mail(backend: Backend, order: u32) -> Result<(), FetchError> {
    backend.fetch(MAIL + order).await?;
    Ok(())
}
