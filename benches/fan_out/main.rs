//! What a fan-out over many items costs for each item, and at its peak in memory and tasks: this crate's pieces next to what
//! one would otherwise take, and next to asyncio, in one run.
//!
//! Run with: `cargo bench -p benches --bench fan_out > benches/results/fan-out.md` (Linux, `python3`, 3 minutes)
//!
//! Each measurement has a process of its own, so that none pays for the memory of another; the ways take turns, so that what
//! else the machine does meets all of them. `-- --quick` measures two sizes, once.

mod child;
mod report;
mod ways;

use std::{env, error::Error};

/// How many may be at work at once.
const LIMIT: usize = 64;

/// How many items, and how often each way is measured with them.
const SIZES: [(u64, usize); 4] = [(1_000, 9), (10_000, 9), (100_000, 5), (1_000_000, 1)];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child", way, threads, items] => child::measure(way, threads.parse()?, items.parse()?),
        ["--quick"] => report::print(&[(1_000, 1), (10_000, 1)]),
        [] => report::print(&SIZES),
        other => Err(format!("there is `--quick`, and nothing else: {other:?}").into()),
    }
}
