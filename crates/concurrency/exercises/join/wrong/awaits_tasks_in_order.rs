//! Breaks `fails-at-once`: the tasks run at once, but the third one's error is seen only after the first two.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Settled, join};
use tokio_util::task::AbortOnDropHandle;

const INDEX: u32 = 100;

async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    backend.fetch(INDEX + part).await?;
    Ok(())
}

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts.map(|part| AbortOnDropHandle::new(tokio::spawn(backend.fetch(part))));
    Ok([first.await.unwrap()?, second.await.unwrap()?, third.await.unwrap()?])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    join::settle((store(backend, first), store(backend, second), store(backend, third))).await.into()
}
