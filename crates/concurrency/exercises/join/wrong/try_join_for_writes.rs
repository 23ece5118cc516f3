//! Breaks `to-the-end`: `try_join!` drops the other two in the middle of what they write.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use std::sync::Mutex;

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
    let outcomes = Mutex::new([Settled::Cancelled, Settled::Cancelled, Settled::Cancelled]);
    let write = async |place: usize| {
        let stored = store(backend, parts[place]).await;
        outcomes.lock().unwrap()[place] = match &stored {
            Ok(()) => Settled::Ok(()),
            Err(error) => Settled::Failed(error.clone()),
        };
        stored
    };
    // With the first error it is over; nothing has to be done about it, for the outcome is in its place.
    let _ = tokio::try_join!(write(0), write(1), write(2));
    outcomes.into_inner().unwrap()
}
