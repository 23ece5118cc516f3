//! So many a second, and a few at once. Task and rules: `cargo run`, or README.md.

use std::num::NonZeroU32;

/// Shared by all who make requests, in an `Arc`.
pub struct RateLimit {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl RateLimit {
    /// A limit that nobody has used yet: a whole burst is there.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_second, burst }
    }

    /// Waits until a request may begin.
    pub async fn acquire(&self) {
        todo!("{} a second, {} at once", self.per_second, self.burst)
    }
}
