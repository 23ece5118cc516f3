//! Breaks `stops`: makes up for the entry in a destructor, in a task that nobody owns and nobody waits for.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;

const INDEX: u32 = 100;

async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    struct Entry<'a>(&'a Backend, u32, bool);
    impl Drop for Entry<'_> {
        fn drop(&mut self) {
            if !self.2 {
                drop(tokio::spawn(self.0.fetch(INDEX + self.1)));
            }
        }
    }
    backend.fetch(part).await?;
    let mut entry = Entry(backend, part, false);
    let ended = AssertUnwindSafe(backend.fetch(INDEX + part)).catch_unwind().await;
    entry.2 = true;
    match ended {
        Ok(reply) => reply.map(drop),
        Err(payload) => std::panic::resume_unwind(payload),
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
