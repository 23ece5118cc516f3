//! Five limiters, and what each of four assertions says of them: the usual one, and three that leave nothing open.
//!
//! Run with: `cargo run -p testing --example naive_test`

use common::clock::paused;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use testing::proof::{Envelope, Gauge, Rendezvous};
use tokio::time::{Instant, sleep};

type Job = BoxFuture<'static, ()>;
type Limiter = fn(Vec<Job>, usize) -> BoxFuture<'static, ()>;

fn at_a_time(jobs: Vec<Job>, limit: usize) -> BoxFuture<'static, ()> {
    stream::iter(jobs).buffer_unordered(limit).collect().boxed()
}

fn chunks(jobs: Vec<Job>, limit: usize) -> BoxFuture<'static, ()> {
    stream::iter(jobs).chunks(limit).for_each(move |chunk| at_a_time(chunk, limit)).boxed()
}

const LIMITERS: [(&str, Limiter); 5] = [
    ("three at a time", at_a_time),
    ("one after another", |jobs, _| at_a_time(jobs, 1)),
    ("two at a time", |jobs, limit| at_a_time(jobs, limit - 1)),
    ("chunks of three", chunks),
    ("all at once", |jobs, _| at_a_time(jobs, 10)),
];

fn assertions(run: Limiter) -> [bool; 4] {
    let times = testing::latencies(3, 10);
    // ANCHOR: gauge
    let gauge = Gauge::new();
    let jobs = times.iter().map(|time| (*time, gauge.clone())).map(|(time, gauge)| {
        let work = async move { sleep(time).await };
        gauge.hold("job", work).boxed()
    });
    // ANCHOR_END: gauge
    // ANCHOR: envelope
    let elapsed = paused(async {
        let start = Instant::now();
        run(jobs.collect(), 3).await;
        start.elapsed()
    });
    let in_time = Envelope::of(&times, 3).check(elapsed).is_ok();
    // ANCHOR_END: envelope
    // ANCHOR: rendezvous
    let rendezvous = Rendezvous::of(3, 10);
    let jobs = (1..=10).map(|n| rendezvous.arrive(format!("job {n}")).boxed()).collect();
    // Without a group of three, this stands still: a deadlock, which `simulate` reports and does not wait for.
    testing::simulate("ten that meet in threes", async |_| run(jobs, 3).await);
    let met = rendezvous.check_met().is_ok();
    // ANCHOR_END: rendezvous
    [gauge.peak() <= 3, gauge.check_peak(3).is_ok(), met, in_time]
}

fn main() {
    println!("{:17} {:>9} {:>9} {:>9} {:>9}", "", "peak <= 3", "peak == 3", "3 meet", "best time");
    for (name, run) in LIMITERS {
        let [naive, peak, met, time] = assertions(run).map(|kept| if kept { "passes" } else { "fails" });
        println!("{name:17} {naive:>9} {peak:>9} {met:>9} {time:>9}");
    }
}
