//! Breaks `gives-up`: what was in flight is aborted, and whether it had an effect nobody knows.

use super::check::PageError;
use common::web::{Client, Site};
use concurrency::{
    Panic,
    partial::{Failure, Report},
};
use std::{collections::HashMap, num::NonZeroUsize};
use tokio::task::JoinSet;

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
    let mut tasks = JoinSet::new();
    let mut places = HashMap::new();
    let mut failures = 0;
    loop {
        while tasks.len() < limit.get()
            && failures < give_up_after.get()
            && let Some((place, id)) = waiting.next()
        {
            places.insert(tasks.spawn(price(client.clone(), id)).id(), place);
        }
        let (task, outcome) = match tasks.join_next_with_id().await {
            Some(Ok((task, result))) => (task, result.map_err(Failure::Failed)),
            Some(Err(error)) if error.is_panic() => {
                (error.id(), Err(Failure::Panicked(Panic::new(error.into_panic()))))
            }
            Some(Err(error)) => (error.id(), Err(Failure::Cancelled)),
            None => break,
        };
        failures += usize::from(outcome.is_err());
        if failures == give_up_after.get() {
            tasks.abort_all();
        }
        outcomes[places[&task]] = Some(outcome);
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
