//! Breaks `stops`: nothing borrows, each write has a task with a clone of its own, and nobody aborts them.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};

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
    let [first, second, third] = parts.map(|part| {
        let backend = backend.clone();
        let task = tokio::spawn(async move { store(&backend, part).await });
        async {
            match task.await {
                Ok(Ok(())) => Settled::Ok(()),
                Ok(Err(error)) => Settled::Failed(error),
                Err(error) => Settled::Panicked(Panic::new(error.into_panic())),
            }
        }
    });
    tokio::join!(first, second, third).into()
}
