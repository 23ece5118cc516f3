//! What the programs under test do.

use std::{
    fs,
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use testing::{Watchdog, watchdog::Stall};
use tokio::runtime::{Builder, RuntimeFlavor};

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

/// How many stalls were told. What is to be found lasts until it is, so that no machine is too busy for it.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<AtomicU64>);

impl Told {
    /// Does something again and again, for `LONG` at least, until so many stalls were told.
    pub(crate) fn until(&self, stalls: u64, mut again: impl FnMut()) {
        let start = Instant::now();
        while (self.0.load(Relaxed) < stalls || start.elapsed() < LONG) && start.elapsed() < 40 * LONG {
            again();
        }
    }

    /// Sleeps until so many stalls were told.
    pub(crate) fn sleep(&self, stalls: u64) {
        self.until(stalls, || thread::sleep(ms(20)));
    }
}

/// Runs a future on a watched runtime, and gives the stalls.
pub(crate) fn stalls<F: Future>(builder: &mut Builder, body: impl FnOnce(Told) -> F) -> Vec<Stall> {
    let told = Told::default();
    let count = told.0.clone();
    let setup = Watchdog::limit(LIMIT)
        .on_stall(move |_| {
            count.fetch_add(1, Relaxed);
        })
        .install(builder);
    let runtime = builder.build().unwrap();
    let many = runtime.handle().runtime_flavor() == RuntimeFlavor::MultiThread;
    // Each has to park before it is known.
    for worker in 0..runtime.metrics().num_workers() {
        while many && runtime.metrics().worker_park_count(worker) == 0 {
            thread::sleep(ms(1));
        }
    }
    let watchdog = setup.start(runtime.handle()).unwrap();
    runtime.block_on(watchdog.root(async { body(told).await }));
    watchdog.stalls()
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
