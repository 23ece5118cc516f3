//! `try_join!` for what is read, `join!` for what is written, and a net under each branch that may panic.

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
    backend.fetch(INDEX + part).await?;
    Ok(())
}

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts;
    // A read that is dropped half way harms nobody: so the first error may drop the other two.
    let (first, second, third) =
        tokio::try_join!(backend.fetch(first), backend.fetch(second), backend.fetch(third))?;
    Ok([first, second, third])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    // An error is a value here, and nothing is cut off for it.
    tokio::join!(settled(backend, first), settled(backend, second), settled(backend, third)).into()
}

async fn settled(backend: &Backend, part: u32) -> Settled<(), FetchError> {
    // The branches are one task. A panic that is not caught here would unwind through all three.
    match AssertUnwindSafe(store(backend, part)).catch_unwind().await {
        Ok(Ok(())) => Settled::Ok(()),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
