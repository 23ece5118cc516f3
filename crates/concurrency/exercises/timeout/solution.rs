//! One moment for all of it, fixed before the first call; each call gets the nearer of that and its own.

use super::check::LoadError;
use common::{Backend, backend::Reply};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub async fn timeout(
    backend: Backend,
    ids: Vec<u32>,
    total: Duration,
    each: Duration,
) -> Result<Vec<Reply>, LoadError> {
    // A moment, not a length of time: it stays where it is, however much the calls have taken.
    let all_over = Instant::now() + total;
    let mut replies = Vec::with_capacity(ids.len());
    for id in ids {
        let now = Instant::now();
        // `timeout_at` polls its future once before it looks at the clock, and that would send the call.
        if now >= all_over {
            return Err(LoadError::Total);
        }
        let one_over = now + each;
        match timeout_at(all_over.min(one_over), backend.fetch(id)).await {
            // The backend's errors are not ours, not even those that say "timed out".
            Ok(reply) => replies.push(reply.map_err(LoadError::Fetch)?),
            // It was the nearer one. On a tie the total is named: nothing else can be tried.
            Err(_) if all_over <= one_over => return Err(LoadError::Total),
            Err(_) => return Err(LoadError::Each { id }),
        }
    }
    Ok(replies)
}
