//! A shop's work in the background: a cache of prices, an audit log, mails. It is spawned, and it is forgotten. Task and
//! rules: `cargo run`, or README.md.

use super::check::{Incident, Operator};
use common::{Backend, backend::FetchError};
use std::time::Duration;
use tokio::{
    sync::mpsc::{self, Receiver, UnboundedReceiver},
    time::sleep,
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

/// Takes orders until `shutdown` is cancelled, or there are no more. Each gets its line in the audit log, and its mail.
pub async fn serve(
    backend: Backend,
    mut orders: Receiver<u32>,
    operator: Operator,
    shutdown: CancellationToken,
) {
    tokio::spawn(refresher(backend.clone(), operator));
    let (audit, lines) = mpsc::unbounded_channel();
    tokio::spawn(audit_log(backend.clone(), lines));
    while let Some(order) = next(&mut orders, &shutdown).await {
        tokio::spawn(mail(backend.clone(), order));
        if audit.send(order).is_err() {
            break;
        }
    }
}

/// The next order, if there is to be one.
async fn next(orders: &mut Receiver<u32>, shutdown: &CancellationToken) -> Option<u32> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        order = orders.recv() => order,
    }
}

/// Task `refresher`: keeps the prices fresh.
async fn refresher(backend: Backend, operator: Operator) {
    let mut failures = 0;
    while failures < FAILURES {
        match backend.fetch(PRICES).await {
            Ok(_) => failures = 0,
            Err(error) => {
                failures += 1;
                operator.tell("refresher", Incident::Failed(error));
            }
        }
        sleep(if failures == 0 { EVERY } else { PAUSE }).await;
    }
}

/// Task `audit`: writes a line for each order, one after the other.
async fn audit_log(backend: Backend, mut lines: UnboundedReceiver<u32>) -> Result<(), FetchError> {
    while let Some(order) = lines.recv().await {
        backend.fetch(AUDIT + order).await?;
    }
    Ok(())
}

/// Task `mail 7`: sends the mail about order 7.
async fn mail(backend: Backend, order: u32) -> Result<(), FetchError> {
    backend.fetch(MAIL + order).await?;
    Ok(())
}
