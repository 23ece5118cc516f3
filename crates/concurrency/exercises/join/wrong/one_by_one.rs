//! Breaks `concurrent`: each read is awaited before the next begins, as three `await`s in a row are in Python, too.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Settled, join};

const INDEX: u32 = 100;

async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    backend.fetch(INDEX + part).await?;
    Ok(())
}

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts;
    Ok([backend.fetch(first).await?, backend.fetch(second).await?, backend.fetch(third).await?])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    join::settle((store(backend, first), store(backend, second), store(backend, third))).await.into()
}
