//! Breaks `concurrent`: made together and awaited in a row. A future is no task: it begins when it is awaited.

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
    // In asyncio, `create_task` would have started them here.
    let [first, second, third] = parts.map(|part| backend.fetch(part));
    Ok([first.await?, second.await?, third.await?])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    join::settle((store(backend, first), store(backend, second), store(backend, third))).await.into()
}
