//! What the programs under test do.

use std::{
    fs,
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

pub(crate) const LIMIT: Duration = Duration::from_millis(50);
pub(crate) const LONG: Duration = Duration::from_millis(250);

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn one() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

pub(crate) fn many(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().worker_threads(workers);
    builder
}

/// Uses this much processor time, however long that takes on a machine that is busy.
pub(crate) fn compute(time: Duration) {
    let start = Instant::now();
    let used = || {
        let figures = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        figures.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let before = used();
    let enough = || match (before, used()) {
        (Some(before), Some(now)) => now - before >= time,
        _ => start.elapsed() >= time,
    };
    while !enough() {
        spin(Duration::from_micros(20));
    }
}

/// Keeps a processor for this long, if it gets one.
pub(crate) fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        spin_loop();
    }
}

/// Keeps every processor of the machine busy, several times over, until it is dropped.
pub(crate) struct Hogs(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Hogs {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hogs = 4 * thread::available_parallelism().map_or(4, usize::from);
        let hog = |_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    spin_loop();
                }
            })
        };
        Self(stop.clone(), (0..hogs).map(hog).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        for hog in self.1.drain(..) {
            hog.join().unwrap();
        }
    }
}
