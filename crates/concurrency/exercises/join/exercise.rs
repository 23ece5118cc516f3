//! Read three parts at once, and write three at once: two ways to join. Task and rules: `cargo run`, or README.md.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;

/// The id under which a part stands in the index is its own, and so much.
const INDEX: u32 = 100;

/// Writes one part, in two calls: it is uploaded, and then entered into the index. Without the second, the first is waste.
async fn store(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    backend.fetch(INDEX + part).await?;
    Ok(())
}

/// Reads the parts of a page. One that is missing makes the others pointless: the first error, at once.
pub async fn read(backend: &Backend, parts: [u32; 3]) -> Result<[Reply; 3], FetchError> {
    todo!("fetch {parts:?} from {backend:?}")
}

/// Writes the parts of a page. What has begun is brought to its end: one outcome a part, in their order.
pub async fn write(backend: &Backend, parts: [u32; 3]) -> [Settled<(), FetchError>; 3] {
    let [first, second, third] = parts;
    todo!("{:?}", [store(backend, first), store(backend, second), store(backend, third)].len())
}
