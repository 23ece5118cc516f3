//! Breaks `shutdown`: waits for the mails, and drops the lines of the log that were accepted but not written.

use super::check::{Incident, Operator};
use common::{Backend, backend::FetchError};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::mpsc::{self, Receiver, UnboundedReceiver},
    task::{Id, JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What is asked of the backend: the prices; the line and the mail of order 7 are `AUDIT + 7` and `MAIL + 7`.
const PRICES: u32 = 1;
const AUDIT: u32 = 1000;
const MAIL: u32 = 2000;

/// The prices are fetched so often,
const EVERY: Duration = Duration::from_millis(100);
/// and so long after the first failure in a row; twice as long after the second, and so on.
const PAUSE: Duration = Duration::from_millis(50);
/// With so many failures in a row, the refresher is given up.
const FAILURES: u32 = 4;
/// So long may a shutdown take.
const GRACE: Duration = Duration::from_millis(300);

/// Takes orders until `shutdown` is cancelled, or there are no more. Each gets its line in the audit log, and its mail.
pub async fn serve(
    backend: Backend,
    mut orders: Receiver<u32>,
    operator: Operator,
    shutdown: CancellationToken,
) {
    let mut tasks = Tasks { set: JoinSet::new(), names: HashMap::new(), operator: operator.clone() };
    let mut refreshing = JoinSet::new();
    refreshing.spawn(refresher(backend.clone(), operator.clone()));
    let (audit, lines) = mpsc::unbounded_channel();
    let mut log = JoinSet::new();
    log.spawn(audit_log(backend.clone(), lines, operator));
    loop {
        let order = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.set.join_next_with_id() => {
                tasks.tell(ended);
                continue;
            }
            order = orders.recv() => order,
        };
        let Some(order) = order else { break };
        tasks.spawn(format!("mail {order}"), mail(backend.clone(), order));
        if audit.send(order).is_err() {
            break;
        }
    }
    refreshing.shutdown().await;
    log.shutdown().await;
    drop(audit);
    let finish = async {
        while let Some(ended) = tasks.set.join_next_with_id().await {
            tasks.tell(ended);
        }
    };
    if timeout(GRACE, finish).await.is_err() {
        tasks.set.abort_all();
        while let Some(ended) = tasks.set.join_next_with_id().await {
            tasks.tell(ended);
        }
    }
}

type Ended = Result<(Id, Result<(), FetchError>), JoinError>;

/// Tasks with names.
struct Tasks {
    set: JoinSet<Result<(), FetchError>>,
    names: HashMap<Id, String>,
    operator: Operator,
}

impl Tasks {
    fn spawn(&mut self, name: String, task: impl Future<Output = Result<(), FetchError>> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    fn tell(&mut self, ended: Ended) {
        let (id, incident) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(Incident::Failed(error))),
            Err(error) if error.is_panic() => (error.id(), Some(Incident::panicked(error.into_panic()))),
            Err(error) => (error.id(), Some(Incident::Aborted)),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        if let Some(incident) = incident {
            self.operator.tell(name, incident);
        }
    }
}

/// The error or the panic of a piece of work, as an incident. The task of a set of one: a panic ends it and not the
/// caller, and when the caller is dropped it goes, too.
async fn caught<T: Send + 'static>(
    work: impl Future<Output = Result<T, FetchError>> + Send + 'static,
) -> Result<T, Incident> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(result)) => result.map_err(Incident::Failed),
        Some(Err(error)) if error.is_panic() => Err(Incident::panicked(error.into_panic())),
        _ => Err(Incident::Aborted),
    }
}

/// Task `refresher`: keeps the prices fresh, and says so when it can not any more.
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

/// Task `audit`: writes a line for each order, one after the other. A line that fails costs no other.
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

/// Task `mail 7`: sends the mail about order 7.
async fn mail(backend: Backend, order: u32) -> Result<(), FetchError> {
    backend.fetch(MAIL + order).await?;
    Ok(())
}
