//! One measurement, in a process of its own.

use crate::ways;
use std::{error::Error, fs, sync::atomic::Ordering::Relaxed, time::Instant};
use tokio::runtime::Builder;

/// Done once before, so that threads are started and code is in memory.
const WARM_UP: u64 = 1_000;

/// Prints nanoseconds, KiB at the peak beyond those at the start, the most tasks alive, and the most calls in flight in the warm-up.
pub(crate) fn measure(way: &str, threads: usize, items: u64) -> Result<(), Box<dyn Error>> {
    let runtime = match threads {
        1 => Builder::new_current_thread().build()?,
        several => Builder::new_multi_thread().worker_threads(several).build()?,
    };
    let run =
        |items| runtime.block_on(ways::run(way, items)).ok_or_else(|| format!("no way is called {way}"));
    ways::COUNTING.store(true, Relaxed);
    run(WARM_UP)?;
    ways::COUNTING.store(false, Relaxed);
    ways::TASKS.store(0, Relaxed);
    // Forgets the highest mark so far, of which the start of the process may have set one.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS:")?;
    let begun = Instant::now();
    let done = run(items)?;
    let nanoseconds = begun.elapsed().as_nanos();
    let peak = memory("VmHWM:")?.saturating_sub(before);
    if done as u64 != items {
        return Err(format!("{way} did {done} of {items}").into());
    }
    println!("{nanoseconds} {peak} {} {}", ways::TASKS.load(Relaxed), ways::IN_FLIGHT.load(Relaxed));
    Ok(())
}

/// A line of what the kernel says of this process, in KiB.
fn memory(line: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|told| told.strip_prefix(line));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    Ok(value.ok_or_else(|| format!("no {line} in /proc/self/status"))?.parse()?)
}
