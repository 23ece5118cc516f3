//! After a storm of cancelled work, everything is as it was: no descriptor, no connection, no transaction is left.
//!
//! A binary of its own with one test, because descriptors are counted for the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use common::upstream::{Response, Upstream};
use resources::{
    HttpClient, PoolSettings, Reaper, database, database::AcquireError, http_client::Limits as HttpLimits,
    scope, transaction,
};
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool, Sqlite, SqliteConnection, SqlitePool,
    postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use testing::{
    Database,
    database::{PostgresServer, or_skip},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
    time::timeout,
};

const LONG: Duration = Duration::from_secs(60);
const ADD: &str = "UPDATE counters SET n = n + 1";

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `storm` once to warm up, and then again: as many descriptors are open afterwards as before.
fn leaves_nothing(name: &str, storm: impl Fn()) {
    storm();
    let before = descriptors();
    storm();
    // A thread of SQLite's closes its files on its own time.
    let since = Instant::now();
    while descriptors() > before && since.elapsed() < LONG {
        std::thread::yield_now();
    }
    assert!(descriptors() <= before, "{name}: {before} descriptors before, {} after", descriptors());
}

/// Polls `future` for a number of turns that is drawn, and drops it.
async fn cancelled(turns: u32, future: impl Future) {
    let give_up = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ended = future => {}
        () = give_up => {}
    }
}

/// A thousand that are cancelled at some await, sixteen at a time.
async fn a_thousand<F: Future + Send>(work: impl Fn() -> F + Clone + Send + 'static) {
    let mut tasks = JoinSet::new();
    for sixteenth in 0..16 {
        let work = work.clone();
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(sixteenth);
            for _ in 0..63 {
                cancelled(random.u32(0..60), work()).await;
            }
        });
    }
    timeout(LONG, tasks.join_all()).await.expect("no task waits for ever");
}

async fn counters(pool: &SqlitePool) {
    pool.execute("CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)").await.unwrap();
}

fn transactions_in_sqlite() {
    let runtime = runtime();
    runtime.block_on(async {
        let database: Database<Sqlite> = Database::sqlite().connections(4).await.unwrap();
        let pool = database.pool().clone();
        counters(&pool).await;
        let work = {
            let pool = pool.clone();
            move || {
                let pool = pool.clone();
                async move {
                    let body = async |tx: &mut SqliteConnection| tx.execute(ADD).await.map(drop);
                    transaction(&pool, body).await
                }
            }
        };
        a_thousand(work).await;
        // Whoever had left a transaction open would keep this one from beginning.
        let body = async |tx: &mut SqliteConnection| tx.execute(ADD).await.map(drop);
        timeout(LONG, transaction(&pool, body)).await.unwrap().unwrap();
        assert!(pool.size() <= 4);
        timeout(LONG, pool.close()).await.unwrap();
    });
}

fn transactions_in_postgres() {
    let runtime = runtime();
    runtime.block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool: PgPool = PoolSettings::new(NonZeroU32::new(8).unwrap()).pool((*database.pool().connect_options()).clone());
        pool.execute("CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)").await.unwrap();
        let seen = Arc::new(AtomicU32::new(0));
        let work = {
            let (pool, seen) = (pool.clone(), seen.clone());
            move || {
                let (pool, seen) = (pool.clone(), seen.clone());
                async move {
                    let body = async |tx: &mut PgConnection| tx.execute(ADD).await.map(drop);
                    if transaction(&pool, body).await.is_ok() {
                        seen.fetch_add(1, SeqCst);
                    }
                    // And the plain one, which sqlx leaves open when it is dropped in its BEGIN.
                    let mut tx = pool.begin().await?;
                    tx.execute("SELECT 1").await?;
                    tx.rollback().await
                }
            }
        };
        a_thousand(work).await;
        // Eight at once, each on its connection: what they write is seen, so none of them was in a transaction already.
        let mut writers = JoinSet::new();
        for _ in 0..8 {
            let pool = pool.clone();
            writers.spawn(async move { pool.execute(ADD).await.map(drop) });
        }
        for wrote in timeout(LONG, writers.join_all()).await.unwrap() {
            wrote.unwrap();
        }
        let mut other = PgConnection::connect(database.url()).await.unwrap();
        let n: i32 = sqlx::query_scalar("SELECT n FROM counters").fetch_one(&mut other).await.unwrap();
        // A COMMIT that was sent runs to its end, so there may be more than were told.
        assert!(n >= i32::try_from(seen.load(SeqCst)).unwrap() + 8, "{n} of {seen:?} and 8");
        assert_eq!(database::close(&pool, LONG).await.still_out, 0);
        let mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                    AND backend_type = 'client backend'";
        database.pool().close().await;
        let since = Instant::now();
        while sqlx::query_scalar::<_, i64>(mine).fetch_one(&mut other).await.unwrap() > 0 {
            assert!(since.elapsed() < LONG, "sessions are left on the server");
        }
        other.close().await.unwrap();
    });
}

fn a_server_that_is_killed() {
    let runtime = runtime();
    runtime.block_on(async {
        let Some(mut server) = or_skip(PostgresServer::start().await) else { return };
        let mut settings = PoolSettings::new(NonZeroU32::new(4).unwrap());
        settings.acquire_within = LONG;
        let pool = settings.pool::<PgConnectOptions>(server.options());
        pool.execute("CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)").await.unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let mut load = JoinSet::new();
        for _ in 0..8 {
            let (pool, done) = (pool.clone(), done.clone());
            load.spawn(async move {
                // Each goes on until it has done something after the kill.
                let mut failures = 0;
                while done.load(SeqCst) < 200 {
                    let body = async |tx: &mut PgConnection| tx.execute(ADD).await.map(drop);
                    match transaction(&pool, body).await {
                        Ok(()) => drop(done.fetch_add(1, SeqCst)),
                        Err(_) => failures += 1,
                    }
                }
                failures
            });
        }
        while done.load(SeqCst) < 50 {
            yield_now().await;
        }
        server.kill().unwrap();
        server.restart().await.unwrap();
        timeout(LONG, load.join_all()).await.expect("the load goes on after the restart");
        assert!(pool.size() <= 4);
        assert_eq!(database::close(&pool, LONG).await.still_out, 0);
    });
}

fn nested_acquires() {
    let runtime = runtime();
    runtime.block_on(async {
        let database: Database<Sqlite> = Database::sqlite().await.unwrap();
        let settings = PoolSettings::new(NonZeroU32::new(2).unwrap());
        let pool = settings.pool::<SqliteConnectOptions>((*database.pool().connect_options()).clone());
        let mut callers = JoinSet::new();
        for _ in 0..10_000 {
            let pool = pool.clone();
            callers.spawn(async move {
                let inner = database::with_connection(&pool, LONG, async |_| {
                    Ok::<_, AcquireError>(database::acquire(&pool, LONG).await.is_err())
                });
                inner.await
            });
        }
        for refused in timeout(LONG, callers.join_all()).await.expect("none waits for another") {
            assert!(matches!(refused, Ok(true)), "{refused:?}");
        }
        assert!(pool.size() <= 2);
        assert_eq!(database::close(&pool, LONG).await.still_out, 0);
    });
}

fn requests() {
    let runtime = runtime();
    runtime.block_on(async {
        let large = "x".repeat(200_000);
        let upstream = Upstream::start([("/", Response::new(200, large))]).await.unwrap();
        let limits = HttpLimits {
            connect: LONG,
            silence: LONG,
            total: LONG,
            idle: LONG,
            in_flight: NonZeroUsize::new(4).unwrap(),
            wait: LONG,
            body_bytes: 1 << 20,
            redirects: 0,
        };
        let client = HttpClient::new(&upstream.url(""), limits).unwrap();
        let work = {
            let client = client.clone();
            move || {
                let client = client.clone();
                async move { client.send(client.get("/")).await?.bytes().await }
            }
        };
        a_thousand(work).await;
        // All four places are free again.
        let mut all = JoinSet::new();
        for _ in 0..4 {
            let client = client.clone();
            all.spawn(async move { client.send(client.get("/")).await?.bytes().await });
        }
        for read in timeout(LONG, all.join_all()).await.unwrap() {
            assert_eq!(read.unwrap().len(), 200_000);
        }
    });
}

fn scopes() {
    let runtime = runtime();
    runtime.block_on(async {
        let listener = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let reaper = Reaper::new(LONG);
        let work = {
            let reaper = reaper.clone();
            move || {
                let reaper = reaper.clone();
                async move {
                    let connect = tokio::net::TcpStream::connect(address);
                    let body = async |_: &mut tokio::net::TcpStream| {
                        yield_now().await;
                        Ok::<_, std::io::Error>(())
                    };
                    scope(&reaper, "socket", connect, body, async |mut socket: tokio::net::TcpStream| {
                        tokio::io::AsyncWriteExt::shutdown(&mut socket).await
                    })
                    .await
                }
            }
        };
        // The kernel accepts for a listener that nobody asks, as long as its queue has room.
        for _ in 0..60 {
            cancelled(fastrand::u32(0..6), work()).await;
        }
        assert!(reaper.drain(LONG).await.is_clean());
    });
}

#[test]
fn descriptors_connections_and_transactions_are_back_to_what_they_were() {
    leaves_nothing("transactions in SQLite", transactions_in_sqlite);
    leaves_nothing("nested acquires", nested_acquires);
    leaves_nothing("requests", requests);
    leaves_nothing("scopes", scopes);
    leaves_nothing("transactions in PostgreSQL", transactions_in_postgres);
    leaves_nothing("a server that is killed", a_server_that_is_killed);
}
