//! Breaks `outcomes`: a panic is an `Err` of `catch_unwind`, and is taken for a cancellation.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use futures_util::FutureExt as _;
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
    let [first, second, third] = parts.map(|part| AssertUnwindSafe(store(backend, part)).catch_unwind());
    let (first, second, third) = tokio::join!(first, second, third);
    [first, second, third].map(|stored| match stored {
        Ok(Ok(())) => Settled::Ok(()),
        Ok(Err(error)) => Settled::Failed(error),
        Err(_) => Settled::Cancelled,
    })
}
