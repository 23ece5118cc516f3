//! Breaks `fails-at-once`: the error comes at once, but a handle that is dropped lets its task run on.

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
    let [first, second, third] = parts.map(|part| {
        let task = tokio::spawn(backend.fetch(part));
        async { task.await.unwrap() }
    });
    let (first, second, third) = tokio::try_join!(first, second, third)?;
    Ok([first, second, third])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    join::settle((store(backend, first), store(backend, second), store(backend, third))).await.into()
}
