//! What a pattern costs for each item, next to the primitive that one would otherwise take.
//!
//! Run with: `cargo bench -p benches --bench concurrency`

use concurrency::{bounded, gather};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{StreamExt as _, stream};
use std::{hint::black_box, num::NonZeroUsize};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
};

const ITEMS: u64 = 10_000;
const LIMIT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Waits once, as the smallest real call does.
async fn call(n: u64) -> Result<u64, ()> {
    yield_now().await;
    Ok(black_box(n))
}

fn runtimes() -> [(&'static str, Runtime); 2] {
    let one = Builder::new_current_thread().build().expect("a runtime");
    let two = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    [("one thread", one), ("two threads", two)]
}

/// The same bound and the same order, by hand: an index in each task's result.
async fn join_set() -> Vec<Option<u64>> {
    let mut replies = vec![None; ITEMS as usize];
    let mut waiting = 0..ITEMS;
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < LIMIT.get()
            && let Some(n) = waiting.next()
        {
            tasks.spawn(async move { (n, call(n).await) });
        }
        match tasks.join_next().await {
            Some(Ok((n, reply))) => replies[n as usize] = reply.ok(),
            Some(Err(_)) => {}
            None => return replies,
        }
    }
}

/// No tasks: futures polled in turn by one, which neither runs on two threads nor survives a panic.
async fn buffer_unordered() -> Vec<(u64, Result<u64, ()>)> {
    stream::iter(0..ITEMS).map(async |n| (n, call(n).await)).buffer_unordered(LIMIT.get()).collect().await
}

fn gathering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather");
    group.throughput(Throughput::Elements(ITEMS));
    for (threads, runtime) in runtimes() {
        group.bench_function(BenchmarkId::new("gather", threads), |bench| {
            bench.iter(|| runtime.block_on(gather(0..ITEMS, LIMIT, call)));
        });
        group.bench_function(BenchmarkId::new("JoinSet by hand", threads), |bench| {
            bench.iter(|| runtime.block_on(join_set()));
        });
        group.bench_function(BenchmarkId::new("buffer_unordered", threads), |bench| {
            bench.iter(|| runtime.block_on(buffer_unordered()));
        });
    }
    group.finish();
}

/// What tasks cost a stream, for work that needs none.
fn streaming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bounded");
    group.throughput(Throughput::Elements(ITEMS));
    for (threads, runtime) in runtimes() {
        group.bench_function(BenchmarkId::new("in_input_order", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(bounded::in_input_order(stream::iter(0..ITEMS), LIMIT, call).count())
            });
        });
        group.bench_function(BenchmarkId::new("as_completed", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(bounded::as_completed(stream::iter(0..ITEMS), LIMIT, call).count())
            });
        });
        group.bench_function(BenchmarkId::new("buffered", threads), |bench| {
            bench.iter(|| runtime.block_on(stream::iter(0..ITEMS).map(call).buffered(LIMIT.get()).count()));
        });
    }
    group.finish();
}

criterion_group!(benches, gathering, streaming);
criterion_main!(benches);
