//! What a pattern costs each time it is used, next to the primitive that one would otherwise take.
//!
//! Run with: `cargo bench -p benches --bench concurrency`
//!
//! `gather` and `bounded` have a bench of their own: `fan_out`.

use concurrency::{
    Committed, Event, Events, Rate, RateLimit, Supervisor,
    queue::{self, OnFailure, Settings},
    shared_state::own,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{StreamExt as _, stream};
use std::{
    future::pending,
    hint::black_box,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex as Moment},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, Semaphore, mpsc},
    task::{JoinSet, yield_now},
};

const ITEMS: u64 = 10_000;
const WORKERS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
const CAPACITY: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Waits once, as the smallest real call does.
async fn call(n: u64) -> Result<u64, String> {
    yield_now().await;
    Ok(black_box(n))
}

fn runtimes() -> [(&'static str, Runtime); 2] {
    let one = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let two = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    [("one thread", one), ("two threads", two)]
}

/// A queue whose workers account for each item, next to a channel and a set of tasks that do not.
fn queueing(criterion: &mut Criterion) {
    let settings = Settings {
        capacity: CAPACITY,
        workers: WORKERS,
        on_error: OnFailure::Skip,
        on_panic: OnFailure::Skip,
    };
    let by_hand = async || {
        let (send, mut items) = mpsc::channel(CAPACITY.get());
        let feed = async move {
            for n in 0..ITEMS {
                if send.send(n).await.is_err() {
                    return;
                }
            }
        };
        let work = async {
            let mut tasks = JoinSet::new();
            let mut done = Vec::new();
            while let Some(n) = items.recv().await {
                if tasks.len() == WORKERS.get()
                    && let Some(Ok(ended)) = tasks.join_next().await
                {
                    done.push(ended);
                }
                tasks.spawn(call(n));
            }
            while let Some(Ok(ended)) = tasks.join_next().await {
                done.push(ended);
            }
            done.len()
        };
        tokio::join!(work, feed).0
    };
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(ITEMS));
    for (threads, runtime) in runtimes() {
        group.bench_function(BenchmarkId::new("queue::run", threads), |bench| {
            bench.iter(|| {
                runtime
                    .block_on(async { queue::run(stream::iter(0..ITEMS), settings, call).await.done.len() })
            });
        });
        group.bench_function(BenchmarkId::new("a channel and a JoinSet by hand", threads), |bench| {
            bench.iter(|| runtime.block_on(by_hand()));
        });
        group.bench_function(BenchmarkId::new("buffer_unordered", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(stream::iter(0..ITEMS).map(call).buffer_unordered(WORKERS.get()).count())
            });
        });
    }
    group.finish();
}

/// Tasks that somebody owns, next to tasks of nobody.
fn in_the_background(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("background");
    group.throughput(Throughput::Elements(ITEMS));
    for (threads, runtime) in runtimes() {
        group.bench_function(BenchmarkId::new("Supervisor", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    let supervisor = Supervisor::unbounded(|incident| panic!("{incident}"));
                    let background = supervisor.spawner();
                    for n in 0..ITEMS {
                        background.spawn("call", async move |_| call(n).await.map(drop)).expect("it is open");
                    }
                    supervisor.shutdown(Duration::from_secs(60)).await.finished.len()
                })
            });
        });
        group.bench_function(BenchmarkId::new("a JoinSet", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    let mut tasks = JoinSet::new();
                    for n in 0..ITEMS {
                        tasks.spawn(call(n));
                    }
                    tasks.join_all().await.len()
                })
            });
        });
    }
    group.finish();
}

/// Four tasks that each count to a quarter of the items.
fn sharing(criterion: &mut Criterion) {
    async fn four<F: Future<Output = ()> + Send + 'static>(count: impl Fn() -> F) {
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            tasks.spawn(count());
        }
        tasks.join_all().await;
    }
    const EACH: u64 = ITEMS / 4;

    let mut group = criterion.benchmark_group("shared_state");
    group.throughput(Throughput::Elements(ITEMS));
    for (threads, runtime) in runtimes() {
        group.bench_function(BenchmarkId::new("std Mutex", threads), |bench| {
            bench.iter(|| {
                let state = Arc::new(Moment::new(0_u64));
                runtime.block_on(four(|| {
                    let state = state.clone();
                    async move {
                        for _ in 0..EACH {
                            *state.lock().expect("nobody panics") += 1;
                        }
                    }
                }));
            });
        });
        group.bench_function(BenchmarkId::new("tokio Mutex", threads), |bench| {
            bench.iter(|| {
                let state = Arc::new(Mutex::new(0_u64));
                runtime.block_on(four(|| {
                    let state = state.clone();
                    async move {
                        for _ in 0..EACH {
                            *state.lock().await += 1;
                        }
                    }
                }));
            });
        });
        group.bench_function(BenchmarkId::new("Committed", threads), |bench| {
            bench.iter(|| {
                let state = Arc::new(Committed::new(0_u64));
                runtime.block_on(four(|| {
                    let state = state.clone();
                    async move {
                        for _ in 0..EACH {
                            let mut draft = state.begin().await;
                            *draft += 1;
                            draft.commit();
                        }
                    }
                }));
            });
        });
        group.bench_function(BenchmarkId::new("own", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    let (state, owner) = own(0_u64, CAPACITY);
                    four(|| {
                        let state = state.clone();
                        async move {
                            for _ in 0..EACH {
                                state.call(|state| *state += 1).await.expect("it is open");
                            }
                        }
                    })
                    .await;
                    owner.shutdown().await.expect("nobody panics")
                })
            });
        });
    }
    group.finish();
}

/// A loop around one receiver.
fn events(criterion: &mut Criterion) {
    async fn full() -> mpsc::Receiver<u64> {
        let (send, items) = mpsc::channel(ITEMS as usize);
        for n in 0..ITEMS {
            send.send(n).await.expect("there is room");
        }
        items
    }
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Elements(ITEMS));
    let [(threads, runtime), _] = runtimes();
    group.bench_function(BenchmarkId::new("Events", threads), |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let mut events = Events::new(full().await, pending()).every(Duration::from_secs(1));
                let mut sum = 0;
                while let Some(event) = events.next().await {
                    if let Event::Item(n) = event {
                        sum += n;
                    }
                }
                sum
            })
        });
    });
    group.bench_function(BenchmarkId::new("select! by hand", threads), |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let mut items = full().await;
                let mut ticks = tokio::time::interval(Duration::from_secs(1));
                let mut sum = 0;
                loop {
                    tokio::select! {
                        () = pending() => return sum,
                        _ = ticks.tick() => {}
                        item = items.recv() => match item {
                            Some(n) => sum += n,
                            None => return sum,
                        },
                    }
                }
            })
        });
    });
    group.finish();
}

/// A limit that is never met: what everybody pays.
fn limiting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rate_limit");
    let [(threads, runtime), _] = runtimes();
    let many = NonZeroU32::new(1_000_000_000).expect("not zero");
    let limit = RateLimit::new(Rate::per_second(many).burst(many), WORKERS);
    group.bench_function(BenchmarkId::new("RateLimit", threads), |bench| {
        bench.iter(|| runtime.block_on(async { drop(limit.acquire().await) }));
    });
    let places = Semaphore::new(WORKERS.get());
    group.bench_function(BenchmarkId::new("Semaphore", threads), |bench| {
        bench.iter(|| runtime.block_on(async { drop(places.acquire().await) }));
    });
    group.finish();
}

criterion_group!(benches, queueing, in_the_background, sharing, events, limiting);
criterion_main!(benches);
