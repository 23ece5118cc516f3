//! Breaks `outcomes`: they stand in the order in which the parts ended, and belong to nobody.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::panic::AssertUnwindSafe;

const INDEX: u32 = 100;

async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    backend.fetch(INDEX + part).await?;
    Ok(())
}

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts;
    let (first, second, third) =
        tokio::try_join!(backend.fetch(first), backend.fetch(second), backend.fetch(third))?;
    Ok([first, second, third])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let writes = parts.map(|part| AssertUnwindSafe(store(backend, part)).catch_unwind());
    let mut ended = FuturesUnordered::from_iter(writes);
    let mut outcomes = Vec::new();
    while let Some(stored) = ended.next().await {
        outcomes.push(match stored {
            Ok(Ok(())) => Settled::Ok(()),
            Ok(Err(error)) => Settled::Failed(error),
            Err(payload) => Settled::Panicked(Panic::new(payload)),
        });
    }
    outcomes.try_into().unwrap()
}
