//! Whether the code that runs holds something of a pool already.
//!
//! Who waits for a second connection with the first in hand, waits for others that do the same: with a pool of two, two
//! callers are enough for nobody to get any further. Which callers hold what can't be seen from the tasks: one task may
//! poll several futures of which each holds one. So it is noted for the *future* that holds it, with a task-local that goes
//! with it wherever it is polled.

use std::panic::Location;
use tokio::task_local;

/// What is held, and where it was asked for. Few at a time, so a list will do.
type Held = Vec<(usize, &'static Location<'static>)>;

task_local! {
    static HELD: Held;
}

/// Runs `future`, within which something of `pool` is held. Tasks that it spawns hold nothing.
///
/// # Cancel safety
/// As cancel safe as `future`.
pub(crate) fn holding<F: Future>(
    pool: usize,
    asked_at: &'static Location<'static>,
    future: F,
) -> impl Future<Output = F::Output> {
    let mut held = HELD.try_with(Clone::clone).unwrap_or_default();
    held.push((pool, asked_at));
    HELD.scope(held, future)
}

/// Where the code that runs asked for what it holds of `pool`, if it holds something.
pub(crate) fn held(pool: usize) -> Option<&'static Location<'static>> {
    HELD.try_with(|held| held.iter().find(|(id, _)| *id == pool).map(|(_, asked_at)| *asked_at))
        .ok()
        .flatten()
}
