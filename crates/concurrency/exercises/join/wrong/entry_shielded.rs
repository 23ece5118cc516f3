//! Breaks `stops`: the entry has a task of its own, so that it is made in any case, and runs on when the caller has gone.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;

const INDEX: u32 = 100;

async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    match tokio::spawn(backend.fetch(INDEX + part)).await {
        Ok(reply) => reply.map(drop),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts;
    let (first, second, third) =
        tokio::try_join!(backend.fetch(first), backend.fetch(second), backend.fetch(third))?;
    Ok([first, second, third])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    tokio::join!(settled(backend, first), settled(backend, second), settled(backend, third)).into()
}

async fn settled(backend: &Backend, part: u32) -> Settled<(), FetchError> {
    match AssertUnwindSafe(store(backend, part)).catch_unwind().await {
        Ok(Ok(())) => Settled::Ok(()),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
