//! Breaks `to-the-end`: `join!` lets every error be, but a panic in one branch unwinds through all of them.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;

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
    let [first, second, third] = parts;
    let (first, second, third) =
        tokio::join!(store(backend, first), store(backend, second), store(backend, third));
    [first, second, third].map(|stored| match stored {
        Ok(()) => Settled::Ok(()),
        Err(error) => Settled::Failed(error),
    })
}
