//! What it costs to borrow and give back with a promise, next to the same without.
//!
//! Run with: `cargo bench -p benches --bench resources`

use common::upstream::{Response, Upstream};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deadpool::managed;
use resources::{
    HttpClient, PoolSettings, TransactionOptions, database,
    http_client::{HttpError, Limits as HttpLimits},
    pool::{Limits, Pool},
};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use std::{
    convert::Infallible,
    hint::black_box,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};
use testing::Database;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::{JoinSet, yield_now},
};

const PLACES: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
const TASKS: u64 = 64;
const EACH: u64 = 100;
const LONG: Duration = Duration::from_secs(60);

fn runtimes() -> [(&'static str, Runtime); 2] {
    let one = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    [("one thread", one), ("two threads", two)]
}

struct Sevens;

impl managed::Manager for Sevens {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }

    async fn recycle(&self, _seven: &mut u64, _: &managed::Metrics) -> managed::RecycleResult<Infallible> {
        Ok(())
    }
}

/// 64 tasks that share eight places, a hundred turns each; a turn waits once while it has its place.
async fn turns<F: Future<Output = ()> + Send + 'static>(turn: impl Fn() -> F + Clone + Send + 'static) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let turn = turn.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                turn().await;
            }
        });
    }
    tasks.join_all().await;
}

/// A pool that knows who has what, next to one that does not, and to the semaphore inside of both.
fn pooling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(TASKS * EACH));
    for (threads, runtime) in runtimes() {
        let pool = Pool::new(|| async { Ok::<_, Infallible>(7_u64) }, Limits::new(PLACES, LONG));
        group.bench_function(BenchmarkId::new("Pool::get", threads), |bench| {
            bench.iter(|| {
                let pool = pool.clone();
                runtime.block_on(turns(move || {
                    let pool = pool.clone();
                    async move {
                        let seven = pool.get().await.expect("it is open");
                        yield_now().await;
                        black_box(*seven);
                    }
                }));
            });
        });
        group.bench_function(BenchmarkId::new("Pool::with", threads), |bench| {
            bench.iter(|| {
                let pool = pool.clone();
                runtime.block_on(turns(move || {
                    let pool = pool.clone();
                    async move {
                        let used = pool.with(async |seven| {
                            yield_now().await;
                            black_box(**seven);
                        });
                        used.await.expect("it is open");
                    }
                }));
            });
        });
        let theirs: managed::Pool<Sevens> =
            managed::Pool::builder(Sevens).max_size(PLACES.get()).build().expect("no timeouts, no runtime");
        group.bench_function(BenchmarkId::new("deadpool", threads), |bench| {
            bench.iter(|| {
                let pool = theirs.clone();
                runtime.block_on(turns(move || {
                    let pool = pool.clone();
                    async move {
                        let seven = pool.get().await.expect("it is open");
                        yield_now().await;
                        black_box(*seven);
                    }
                }));
            });
        });
        let places = Arc::new(Semaphore::new(PLACES.get()));
        group.bench_function(BenchmarkId::new("a Semaphore alone", threads), |bench| {
            bench.iter(|| {
                let places = places.clone();
                runtime.block_on(turns(move || {
                    let places = places.clone();
                    async move {
                        let _place = places.acquire().await.expect("it is open");
                        yield_now().await;
                    }
                }));
            });
        });
    }
    group.finish();
}

const ADD: &str = "UPDATE counters SET n = n + 1";

async fn counters() -> Database<Sqlite> {
    let database = Database::sqlite_in_memory().connections(1).await.expect("SQLite is built in");
    sqlx::query("CREATE TABLE counters (n INTEGER)").execute(database.pool()).await.expect("a table");
    sqlx::query("INSERT INTO counters VALUES (0)").execute(database.pool()).await.expect("a row");
    database
}

/// One statement in a transaction, in SQLite in memory: the cheapest that there is, so the runner's part is the largest.
fn transactions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transaction");
    for (threads, runtime) in runtimes() {
        let database = runtime.block_on(counters());
        let pool: &SqlitePool = database.pool();
        let options = TransactionOptions::new();
        group.bench_function(BenchmarkId::new("transaction", threads), |bench| {
            bench.iter(|| {
                let body = async |tx: &mut SqliteConnection| sqlx::query(ADD).execute(tx).await.map(drop);
                runtime.block_on(options.run(pool, body)).expect("committed");
            });
        });
        group.bench_function(BenchmarkId::new("pool.begin() and commit()", threads), |bench| {
            bench.iter(|| {
                runtime
                    .block_on(async {
                        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                        sqlx::query(ADD).execute(&mut *tx).await?;
                        tx.commit().await
                    })
                    .expect("committed");
            });
        });
    }
    group.finish();
}

/// Borrowing a connection with its diagnosis, next to without.
fn connections(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("database");
    for (threads, runtime) in runtimes() {
        let database = runtime.block_on(counters());
        let _context = runtime.enter();
        let settings = PoolSettings::new(NonZeroU32::new(2).expect("not zero"));
        let hardened = database.pool_with(settings.pool_options::<sqlx::sqlite::SqliteConnectOptions>());
        group.bench_function(BenchmarkId::new("database::acquire", threads), |bench| {
            bench.iter(|| {
                runtime
                    .block_on(async { drop(database::acquire(&hardened, LONG).await.expect("one is free")) });
            });
        });
        group.bench_function(BenchmarkId::new("pool.acquire()", threads), |bench| {
            bench.iter(|| {
                runtime.block_on(async { drop(database.pool().acquire().await.expect("one is free")) });
            });
        });
    }
    group.finish();
}

/// A request to a server on loopback.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http_client");
    let (threads, runtime) = {
        let [_, two] = runtimes();
        two
    };
    let large = "x".repeat(64 * 1024);
    let routes = [("/items/7", Response::new(200, "lamp")), ("/large", Response::new(200, large))];
    let upstream = runtime.block_on(Upstream::start(routes)).expect("loopback");
    let limits = HttpLimits {
        connect: LONG,
        silence: LONG,
        total: LONG,
        idle: LONG,
        in_flight: PLACES,
        wait: LONG,
        body_bytes: 1 << 20,
        redirects: 0,
    };
    let client = HttpClient::new(&upstream.url(""), limits).expect("a client");
    let read = async |path: &str| -> Result<usize, HttpError> {
        Ok(client.send(client.get(path)).await?.bytes().await?.len())
    };
    let bare = reqwest::Client::new();
    let (small, big) = (upstream.url("/items/7"), upstream.url("/large"));
    group.bench_function(BenchmarkId::new("HttpClient", threads), |bench| {
        bench.iter(|| runtime.block_on(read("/items/7")).expect("an answer"));
    });
    group.bench_function(BenchmarkId::new("reqwest::Client", threads), |bench| {
        bench.iter(|| {
            runtime.block_on(async { bare.get(&small).send().await?.bytes().await }).expect("an answer").len()
        });
    });
    group.bench_function(BenchmarkId::new("a reqwest::Client for each call", threads), |bench| {
        bench.iter(|| {
            let get = async { reqwest::Client::new().get(&small).send().await?.bytes().await };
            runtime.block_on(get).expect("an answer").len()
        });
    });
    group.bench_function(BenchmarkId::new("64 KiB, read to the end", threads), |bench| {
        bench.iter(|| {
            runtime.block_on(async { bare.get(&big).send().await?.bytes().await }).expect("an answer").len()
        });
    });
    group.bench_function(BenchmarkId::new("64 KiB, dropped unread", threads), |bench| {
        bench.iter(|| runtime.block_on(async { bare.get(&big).send().await.map(drop) }).expect("an answer"));
    });
    group.finish();
}

criterion_group!(benches, pooling, transactions, connections, requests);
criterion_main!(benches);
