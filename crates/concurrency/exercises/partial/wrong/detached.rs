//! Breaks `stops`: a bare `tokio::spawn` has no owner, and its task runs on when nobody waits for it any more.

use super::check::PageError;
use common::web::{Client, Site};
use concurrency::{
    Panic,
    partial::{Failure, Report},
};
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::num::NonZeroUsize;

async fn price(client: Client, id: u32) -> Result<u32, PageError> {
    let response = client.get(id).await.map_err(PageError::Network)?;
    if !response.is_success() {
        return Err(PageError::Status(response.status));
    }
    response.body.parse().map_err(|_| PageError::Body(response.body))
}

pub async fn partial(
    site: Site,
    ids: Vec<u32>,
    limit: NonZeroUsize,
    give_up_after: NonZeroUsize,
) -> Report<u32, u32, PageError> {
    let client = Client::new(&site);
    let mut outcomes: Vec<Option<Result<u32, Failure<PageError>>>> = ids.iter().map(|_| None).collect();
    let mut waiting = ids.iter().copied().enumerate();
    let mut handles = FuturesUnordered::new();
    let mut failures = 0;
    loop {
        while handles.len() < limit.get()
            && failures < give_up_after.get()
            && let Some((place, id)) = waiting.next()
        {
            let handle = tokio::spawn(price(client.clone(), id));
            handles.push(async move { (place, handle.await) });
        }
        let Some((place, joined)) = handles.next().await else { break };
        let outcome = match joined {
            Ok(result) => result.map_err(Failure::Failed),
            Err(error) if error.is_panic() => Err(Failure::Panicked(Panic::new(error.into_panic()))),
            Err(_) => Err(Failure::Cancelled),
        };
        failures += usize::from(outcome.is_err());
        outcomes[place] = Some(outcome);
    }
    let mut report = Report { ok: Vec::new(), failed: Vec::new() };
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        match outcome.unwrap_or(Err(Failure::NotStarted)) {
            Ok(price) => report.ok.push((id, price)),
            Err(failure) => report.failed.push((id, failure)),
        }
    }
    report
}
