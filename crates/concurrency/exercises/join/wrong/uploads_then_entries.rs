//! Breaks `concurrent`: entries wait until all uploads are there, and none is made when one upload fails.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Settled, join};

const INDEX: u32 = 100;

pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    let [first, second, third] = parts;
    let (first, second, third) =
        tokio::try_join!(backend.fetch(first), backend.fetch(second), backend.fetch(third))?;
    Ok([first, second, third])
}

pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts.map(|part| backend.fetch(part));
    let (first, second, third) = join::settle((first, second, third)).await;
    let uploads = [first, second, third];
    if uploads.iter().all(Settled::is_ok) {
        let [first, second, third] = parts.map(|part| backend.fetch(INDEX + part));
        let (first, second, third) = join::settle((first, second, third)).await;
        return [first, second, third].map(stored);
    }
    uploads.map(stored)
}

fn stored(ended: Settled<Reply, FetchError>) -> Settled<(), FetchError> {
    match ended {
        Settled::Ok(_) => Settled::Ok(()),
        Settled::Failed(error) => Settled::Failed(error),
        Settled::Panicked(panic) => Settled::Panicked(panic),
        Settled::Cancelled => Settled::Cancelled,
    }
}
