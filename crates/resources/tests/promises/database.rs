//! What a pool with settings, its diagnosis and its migrations promise.

mod causes;
mod migrations;
mod settings;

use sqlx::{
    PgPool, Pool, Sqlite, SqlitePool,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use testing::{Database, with_real_io};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::sleep,
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// For what another process or thread does; it never takes that long, unless it never happens.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// With sockets; what does I/O goes into `with_real_io`.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn several_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn settings(connections: u32) -> resources::PoolSettings {
    resources::PoolSettings::new(NonZeroU32::new(connections).unwrap())
}

/// A pool of SQLite in memory, with the settings of a service.
async fn sqlite(connections: u32) -> (Database<Sqlite>, SqlitePool) {
    let database = Database::sqlite_in_memory().await.unwrap();
    let pool = database.pool_with(settings(connections).pool_options::<sqlx::sqlite::SqliteConnectOptions>());
    (database, pool)
}

/// Both on PostgreSQL: the kit's pool, for looking, and one with the settings, to be looked at.
fn postgres(database: &Database<sqlx::Postgres>, settings: &resources::PoolSettings) -> PgPool {
    settings.pool((*database.pool().connect_options()).clone())
}

#[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}

/// Looks until it is so.
async fn in_the_end(mut holds: impl AsyncFnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(ms(5)).await;
    }
}

/// Sessions of this database but the one that asks, for which this holds.
async fn sessions(pool: &PgPool, condition: &'static str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(pool).await.unwrap()
}

/// As many connections as the pool has can be had at once: nobody has kept one, or a place.
async fn all_capacity<DB: sqlx::Database>(pool: &Pool<DB>) -> Result<(), String> {
    let mut all = Vec::new();
    for n in 1..=pool.options().get_max_connections() {
        let lease = resources::database::acquire(pool, Duration::from_secs(20)).await;
        all.push(lease.map_err(|error| format!("connection {n}: {error}"))?);
    }
    Ok(())
}

async fn leases<DB: sqlx::Database>(pool: &Pool<DB>, n: usize) -> Vec<resources::database::Lease<DB>> {
    let mut leases = Vec::new();
    for _ in 0..n {
        leases.push(with_real_io(resources::database::acquire(pool, PATIENCE)).await.unwrap());
    }
    leases
}

/// A server that lets everybody in, and then says nothing any more; and how many it has let in.
async fn silent_server() -> (PgConnectOptions, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let serve = async move {
        let mut connections = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u32().await.unwrap();
            let mut startup = vec![0; length as usize - 4];
            stream.read_exact(&mut startup).await.unwrap();
            // AuthenticationOk; ReadyForQuery, idle.
            stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
            count.fetch_add(1, SeqCst);
            connections.push(stream);
        }
    };
    drop(spawn(serve));
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable);
    (options, served)
}
