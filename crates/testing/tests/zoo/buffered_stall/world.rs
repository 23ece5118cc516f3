//! Pages that are fetched, up to three at a time, and stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{proof::Envelope, snooze};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many pages there are.
pub const PAGES: usize = 6;
const FETCH: [u64; PAGES] = [10, 30, 20, 40, 10, 30];
const STORE: u64 = 20;

/// Counts what was stored.
#[derive(Debug, Default)]
pub struct World {
    stored: AtomicUsize,
}

impl World {
    /// Takes 10 to 40 ms.
    pub fn fetch(self: &Arc<Self>, page: usize) -> impl Future<Output = usize> + Send + use<> {
        snooze::watch(format!("page {page}"), async move {
            sleep(Duration::from_millis(FETCH[page])).await;
            page
        })
    }

    /// Takes 20 ms.
    pub async fn store(&self, _page: usize) {
        sleep(Duration::from_millis(STORE)).await;
        self.stored.fetch_add(1, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let stored = world.stored.load(Relaxed);
    if stored == PAGES { Ok(()) } else { Err(format!("{stored} of {PAGES} stored")) }
}

/// What a proof asserts: whenever a page is stored, the next is begun.
///
/// # Errors
/// What is not as it should be.
pub fn proof(_: &World, elapsed: Duration) -> Result<(), String> {
    let latencies = FETCH.map(|fetch| Duration::from_millis(fetch + STORE));
    Ok(Envelope::of(&latencies, 3).check(elapsed)?)
}
