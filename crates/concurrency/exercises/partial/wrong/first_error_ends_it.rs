//! Breaks `goes-on`: `try_join_all` ends with the first error, and drops the calls in flight.

use super::check::PageError;
use common::web::{Client, Site};
use concurrency::partial::{Failure, Report};
use futures::future::try_join_all;
use std::num::NonZeroUsize;
use tokio::sync::Semaphore;

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
    _give_up_after: NonZeroUsize,
) -> Report<u32, u32, PageError> {
    let client = Client::new(&site);
    let permits = Semaphore::new(limit.get());
    let calls = ids.iter().map(|&id| {
        let (client, permits) = (client.clone(), &permits);
        async move {
            let _permit = permits.acquire().await.expect("nobody closes it");
            price(client, id).await.map_err(|error| (id, error)).map(|price| (id, price))
        }
    });
    match try_join_all(calls).await {
        Ok(ok) => Report { ok, failed: Vec::new() },
        Err((culprit, error)) => {
            let mut failed = vec![(culprit, Failure::Failed(error))];
            failed.extend(ids.into_iter().filter(|id| *id != culprit).map(|id| (id, Failure::Cancelled)));
            Report { ok: Vec::new(), failed }
        }
    }
}
