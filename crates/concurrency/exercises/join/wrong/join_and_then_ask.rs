//! Breaks `fails-at-once`: `join!` waits for all three, and only then does `?` look whether one has failed.

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
    let (first, second, third) =
        tokio::join!(backend.fetch(first), backend.fetch(second), backend.fetch(third));
    Ok([first?, second?, third?])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    join::settle((store(backend, first), store(backend, second), store(backend, third))).await.into()
}
