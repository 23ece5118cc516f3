//! What it costs to watch a runtime, for each poll of a task.
//!
//! Run with: `cargo bench -p benches --bench testing`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use testing::{Heartbeat, Watchdog, watchdog::labelled};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
};

const TASKS: u64 = 100;
const POLLS: u64 = 200;

/// A runtime, what watches it, and whether its tasks are labelled.
struct Variant {
    name: &'static str,
    runtime: Runtime,
    watchdog: Option<Watchdog>,
    _heartbeat: Option<Heartbeat>,
    labelled: bool,
}

fn variants(flavour: fn() -> Builder) -> Vec<Variant> {
    let limit = Duration::from_millis(50);
    let build = |builder: &mut Builder| builder.enable_time().build().expect("a runtime");
    let watched = || {
        let mut builder = flavour();
        let setup = Watchdog::limit(limit).install(&mut builder);
        let runtime = build(&mut builder);
        let watchdog = setup.start(runtime.handle()).expect("a watchdog");
        (runtime, Some(watchdog))
    };
    let unwatched =
        |name, runtime| Variant { name, runtime, watchdog: None, _heartbeat: None, labelled: false };
    let plain = |name| unwatched(name, build(&mut flavour()));
    let of = |name, labelled| {
        let (runtime, watchdog) = watched();
        Variant { name, runtime, watchdog, _heartbeat: None, labelled }
    };
    let beating = plain("heartbeat");
    let heartbeat = Heartbeat::start(beating.runtime.handle(), Duration::from_millis(10));
    vec![
        plain("alone"),
        // Against itself: how much of a ratio is noise.
        plain("alone, again"),
        of("watchdog", false),
        of("watchdog and labels", true),
        Variant { labelled: true, ..plain("labels") },
        Variant { _heartbeat: Some(heartbeat), ..beating },
        unwatched("event_interval(1)", build(flavour().event_interval(1))),
    ]
}

async fn polls() {
    for n in 0..POLLS {
        black_box(n);
        yield_now().await;
    }
}

fn run(variant: &Variant) {
    let all = async {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            if variant.labelled {
                tasks.spawn(labelled("polls", polls()));
            } else {
                tasks.spawn(polls());
            }
        }
        tasks.join_all().await
    };
    match &variant.watchdog {
        Some(watchdog) => variant.runtime.block_on(watchdog.root(all)),
        None => variant.runtime.block_on(all),
    };
}

/// Its name, and what makes its builder.
type Flavour = (&'static str, fn() -> Builder);

fn flavours() -> [Flavour; 2] {
    [
        ("one thread", Builder::new_current_thread),
        ("two threads", || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(2);
            builder
        }),
    ]
}

fn polling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watched polls");
    group.throughput(Throughput::Elements(TASKS * POLLS));
    for (threads, flavour) in flavours() {
        for variant in variants(flavour) {
            group.bench_function(BenchmarkId::new(variant.name, threads), |bench| {
                bench.iter(|| run(&variant));
            });
        }
    }
    group.finish();
}

/// Criterion measures one variant after the other, and in between the machine changes by more than the watchdog costs.
/// So they take turns here, and of each round the ratio is taken; the middle one is printed.
fn ratios(_: &mut Criterion) {
    for (threads, flavour) in flavours() {
        let variants = variants(flavour);
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
        for round in 0..300 {
            // Who comes first changes too.
            let mut times = vec![0.0; variants.len()];
            for turn in 0..variants.len() {
                let which = (turn + round) % variants.len();
                let start = Instant::now();
                run(&variants[which]);
                times[which] = start.elapsed().as_secs_f64();
            }
            for (ratios, time) in rounds.iter_mut().zip(&times) {
                ratios.push(time / times[0]);
            }
        }
        for (variant, ratios) in variants.iter().zip(&mut rounds) {
            ratios.sort_by(f64::total_cmp);
            println!("{threads}, {}: {:.3} times", variant.name, ratios[ratios.len() / 2]);
        }
    }
}

criterion_group!(benches, polling, ratios);
criterion_main!(benches);
