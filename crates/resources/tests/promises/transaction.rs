//! What a transaction promises.

use futures_util::FutureExt as _;
use resources::{
    CloseError, TransactionOptions, TxError, savepoint,
    transaction::{self, Isolation, is_transient, transaction},
};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection,
    SqlitePool,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use std::{
    cell::Cell,
    future::pending,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use testing::{
    Database,
    database::{PostgresServer, Setup, or_skip},
    every_await,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn times(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Far more than anything here takes; who waits so long waits for ever.
const LONG: Duration = Duration::from_secs(30);

const ACCOUNTS: &str = "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance BIGINT CHECK (balance >= 0));
    INSERT INTO accounts VALUES ('ada', 50), ('bob', 50)";
const SUM: &str = "SELECT CAST(SUM(balance) AS BIGINT) FROM accounts";
const ADA: &str = "SELECT balance FROM accounts WHERE name = 'ada'";

fn run<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn sqlite(setup: Setup<'static, Sqlite>, connections: u32) -> Database<Sqlite> {
    let database = setup.connections(connections).await.unwrap();
    database.pool().execute(ACCOUNTS).await.unwrap();
    database
}

async fn in_memory(connections: u32) -> Database<Sqlite> {
    sqlite(Database::sqlite_in_memory(), connections).await
}

async fn postgres(connections: u32) -> Option<Database<Postgres>> {
    let database = or_skip(Database::postgres().connections(connections).await)?;
    database.pool().execute(ACCOUNTS).await.unwrap();
    Some(database)
}

fn balance(name: &str, by: i64) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
    let sql = format!("UPDATE accounts SET balance = balance + {by} WHERE name = '{name}'");
    sqlx::query(AssertSqlSafe(sql))
}

async fn pay(tx: &mut SqliteConnection, amount: i64) -> sqlx::Result<i64> {
    balance("ada", -amount).execute(&mut *tx).await?;
    balance("bob", amount).execute(&mut *tx).await?;
    sqlx::query_scalar(ADA).fetch_one(tx).await
}

async fn pay_in_postgres(tx: &mut PgConnection, amount: i64) -> sqlx::Result<i64> {
    for (name, by) in [("ada", -amount), ("bob", amount)] {
        let update = sqlx::query("UPDATE accounts SET balance = balance + $1 WHERE name = $2");
        update.bind(by).bind(name).execute(&mut *tx).await?;
    }
    sqlx::query_scalar(ADA).fetch_one(tx).await
}

async fn ada(pool: &SqlitePool) -> i64 {
    sqlx::query_scalar(ADA).fetch_one(pool).await.unwrap()
}

/// A panic that is meant: no hook prints it.
fn panics(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// What the next one finds who borrows the pool's only connection: everything or nothing, and no transaction.
async fn all_or_nothing(pool: &SqlitePool) -> Result<(), String> {
    let mut next = timeout(LONG, pool.acquire()).await.unwrap().unwrap();
    let sum: i64 = sqlx::query_scalar(SUM).fetch_one(&mut *next).await.unwrap();
    let begun = next.execute("BEGIN; ROLLBACK").await;
    match (sum, begun) {
        (100, Ok(_)) if !next.is_in_transaction() => Ok(()),
        (sum, begun) => Err(format!("{sum} in all; the next BEGIN: {begun:?}")),
    }
}

/// The sessions of this database, but for the one that asks, which are in a transaction and wait for their client.
async fn idle_in_transaction(pool: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn pid(pool: &PgPool) -> i32 {
    timeout(LONG, sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool)).await.unwrap().unwrap()
}

/// Waits until the database says so; what other sessions do has no event that one could await.
async fn until(pool: &PgPool, what: &str) {
    let seen = async {
        while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(what)).fetch_one(pool).await.unwrap() {
            sleep(ms(2)).await;
        }
    };
    timeout(LONG, seen).await.unwrap_or_else(|_| panic!("it never became true: {what}"));
}

/// Drops `future` when the database is at work on its `pg_sleep`.
async fn dropped_while_it_sleeps<T: std::fmt::Debug>(admin: &PgPool, future: impl Future<Output = T>) {
    let sleeps = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' \
                  AND datname = current_database() AND pid <> pg_backend_pid()";
    tokio::select! {
        ended = future => panic!("{ended:?}"),
        () = until(admin, sleeps) => {}
    }
}

/// A pool of one connection.
fn one<D: sqlx::Database>(database: &Database<D>) -> sqlx::Pool<D> {
    database.pool_with(PoolOptions::new().max_connections(1))
}

#[test]
fn it_is_committed_if_the_body_gives_ok_and_the_value_comes_back() {
    run(async {
        let database = in_memory(2).await;
        let left = transaction(database.pool(), async |tx: &mut SqliteConnection| pay(tx, 30).await);
        assert_eq!(left.await.unwrap(), 20);
        assert_eq!(ada(database.pool()).await, 20);
        let Some(database) = postgres(2).await else { return };
        let left = transaction(database.pool(), async |tx: &mut PgConnection| pay_in_postgres(tx, 30).await);
        assert_eq!(left.await.unwrap(), 20);
        let sum: i64 = sqlx::query_scalar(ADA).fetch_one(database.pool()).await.unwrap();
        assert_eq!(sum, 20);
    });
}

#[test]
fn it_is_rolled_back_when_an_error_comes_back_which_is_the_bodys_own() {
    run(async {
        let database = in_memory(1).await;
        let ended = transaction(database.pool(), async |tx: &mut SqliteConnection| {
            pay(tx, 30).await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        });
        assert!(matches!(ended.await, Err(TxError::Failed(sqlx::Error::RowNotFound))));
        assert_eq!(ada(database.pool()).await, 50);
        all_or_nothing(database.pool()).await.unwrap();
        let Some(database) = postgres(1).await else { return };
        let ended = transaction(database.pool(), async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            pay_in_postgres(tx, 30).await
        });
        assert!(matches!(ended.await, Err(TxError::Failed(sqlx::Error::Database(_)))));
        let ada: i64 = sqlx::query_scalar(ADA).fetch_one(database.pool()).await.unwrap();
        assert_eq!(ada, 50);
    });
}

#[test]
fn it_is_rolled_back_when_the_panic_comes_through_with_its_own_payload() {
    run(async {
        let database = in_memory(2).await;
        // Not async: it panics before there is a future.
        let at_once = transaction(
            database.pool(),
            |_: &mut SqliteConnection| -> std::future::Ready<sqlx::Result<()>> { panics("at once") },
        );
        let later = transaction(database.pool(), async |tx: &mut SqliteConnection| {
            pay(tx, 30).await?;
            if tx.is_in_transaction() {
                panics("later");
            }
            Ok::<_, sqlx::Error>(())
        });
        let payload = AssertUnwindSafe(at_once).catch_unwind().await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"at once"));
        let payload = AssertUnwindSafe(later).catch_unwind().await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"later"));
        // Nobody has to wait for it: a second connection writes without a busy timeout.
        let mut other = database.pool().acquire().await.unwrap();
        other.execute("PRAGMA busy_timeout = 0").await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        other.execute("ROLLBACK").await.unwrap();
        assert_eq!(ada(database.pool()).await, 50);
    });
}

#[test]
fn dropped_at_any_await_in_sqlite_all_is_there_or_nothing_and_nobody_borrows_an_open_transaction() {
    let awaits = every_await::with_io(
        async || in_memory(1).await,
        |database| {
            let pool = database.pool().clone();
            async move {
                let options = TransactionOptions::new().within(LONG);
                options
                    .retry(times(3), &pool, async |tx: &mut SqliteConnection| pay(tx, 30).await)
                    .await
                    .unwrap();
                transaction(&pool, async |tx: &mut SqliteConnection| {
                    savepoint(tx, async |tx| pay(tx, 10).await).await
                })
                .await
                .unwrap();
            }
        },
        async |database| {
            all_or_nothing(database.pool()).await?;
            database.pool().close().await;
            Ok(())
        },
    );
    // How many there are depends on how quickly SQLite's thread answers.
    assert!(awaits.unwrap() >= 3);
}

#[test]
fn dropped_at_any_await_in_postgres_all_is_there_or_nothing_and_nobody_borrows_an_open_transaction() {
    if run(postgres(1)).is_none() {
        return;
    }
    let awaits = every_await::with_io(
        async || postgres(1).await.unwrap(),
        |database| {
            let pool = database.pool().clone();
            async move {
                transaction(&pool, async |tx: &mut PgConnection| {
                    savepoint(tx, async |tx| pay_in_postgres(tx, 30).await).await
                })
                .await
                .unwrap();
            }
        },
        async |database| {
            let mut next = timeout(LONG, database.pool().acquire()).await.unwrap().unwrap();
            next.execute("INSERT INTO accounts VALUES ('eve', 0)").await.unwrap();
            // Another session sees what the next borrower has written: it was no part of a transaction.
            let mut other = PgConnection::connect(database.url()).await.unwrap();
            let (sum, rows): (i64, i64) =
                sqlx::query_as("SELECT CAST(SUM(balance) AS BIGINT), count(*) FROM accounts")
                    .fetch_one(&mut other)
                    .await
                    .unwrap();
            drop((next, other));
            database.pool().close().await;
            if (sum, rows) == (100, 3) { Ok(()) } else { Err(format!("{sum} in all, {rows} accounts")) }
        },
    );
    // How many there are depends on how quickly the server answers.
    assert!(awaits.unwrap() >= 3);
}

#[test]
fn sqlx_itself_leaves_a_transaction_open_when_its_begin_is_dropped() {
    // sqlx 0.9.0, PostgreSQL (sqlx #4385, #4393; mended in #4394, which is in no release yet). When this fails, a new sqlx
    // has arrived that needs no task for BEGIN: see `Open::begin`.
    if run(postgres(1)).is_none() {
        return;
    }
    // A server that answers before the next poll leaves no await at which it could be dropped.
    let broken = || {
        every_await::with_io(
            async || postgres(1).await.unwrap(),
            |database| {
                let pool = database.pool().clone();
                async move { drop(pool.begin().await.unwrap()) }
            },
            async |database| {
                let mut next = database.pool().acquire().await.unwrap();
                next.execute("INSERT INTO accounts VALUES ('eve', 0)").await.unwrap();
                let mut other = PgConnection::connect(database.url()).await.unwrap();
                let rows: i64 =
                    sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&mut other).await.unwrap();
                if rows == 3 { Ok(()) } else { Err(String::from("an INSERT was Ok, and nobody sees it")) }
            },
        )
    };
    let seen = (0..20).any(|_| broken().is_err_and(|broken| broken.contains("nobody sees it")));
    assert!(seen, "sqlx has mended it");
}

#[test]
fn a_thousand_that_are_aborted_at_random_moments_leave_nothing_in_postgres() {
    let Some(database) = run(postgres(1)) else { return };
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = PgPool::connect(database.url()).await.unwrap();
        let before = descriptors();
        fastrand::seed(7);
        let mut tasks = JoinSet::new();
        for n in 0..1000 {
            let pool = pool.clone();
            let task = tasks.spawn(async move {
                transaction(&pool, async |tx: &mut PgConnection| pay_in_postgres(tx, 1 - 2 * (n % 2)).await)
                    .await
            });
            for _ in 0..fastrand::u32(0..40) {
                yield_now().await;
            }
            if fastrand::bool() {
                sleep(Duration::from_micros(fastrand::u64(0..1500))).await;
            }
            task.abort();
            if n % 20 == 19 {
                while tasks.join_next().await.is_some() {}
                // Nobody else begins anything now, and what would be left open stays so.
                let idle = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() \
                            AND state LIKE 'idle in transaction%'";
                until(database.pool(), idle).await;
            }
        }
        // Ten at once: each of the pool's connections writes something that all can see.
        let mut rows = JoinSet::new();
        for n in 0..10 {
            let pool = pool.clone();
            rows.spawn(async move {
                let sql = format!("INSERT INTO accounts VALUES ('{n}', 0)");
                pool.execute(AssertSqlSafe(sql)).await.map(drop)
            });
        }
        while let Some(row) = rows.join_next().await {
            row.unwrap().unwrap();
        }
        assert_eq!(idle_in_transaction(&pool).await, 0);
        let mut other = PgConnection::connect(database.url()).await.unwrap();
        let seen: (i64, i64) = sqlx::query_as("SELECT CAST(SUM(balance) AS BIGINT), count(*) FROM accounts")
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(seen, (100, 12));
        assert!(pool.size() <= 10);
        timeout(LONG, pool.close()).await.unwrap();
        other.close().await.unwrap();
        // Other tests open and close theirs; what a thousand leave would be seen all the same.
        assert!(descriptors() < before + 200, "{before} before, {} after", descriptors());
    });
    runtime.block_on(database.pool().close());
}

#[test]
fn a_commit_that_was_sent_runs_to_its_end_whoever_is_dropped() {
    run(async {
        let Some(database) = postgres(3).await else { return };
        let pool = database.pool();
        commit_waits_for_lock(pool).await;
        let mut gate = pool.acquire().await.unwrap();
        gate.execute("SELECT pg_advisory_lock(1)").await.unwrap();
        {
            let mut paying =
                pin!(transaction(pool, async |tx: &mut PgConnection| pay_in_postgres(tx, 30).await));
            let commits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event_type = 'Lock' \
                           AND datname = current_database()";
            tokio::select! {
                ended = &mut paying => panic!("{ended:?}"),
                () = until(pool, commits) => {}
            }
        }
        assert_eq!(pool.size(), 3, "its connection is not thrown away: somebody waits for the answer");
        gate.execute("SELECT pg_advisory_unlock(1)").await.unwrap();
        until(pool, "SELECT balance = 20 FROM accounts WHERE name = 'ada'").await;
    });
}

/// From now on, each COMMIT after a change of the accounts waits for the advisory lock 1.
async fn commit_waits_for_lock(pool: &PgPool) {
    pool.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER waits AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    .await
    .unwrap();
}

#[test]
fn a_commit_that_is_not_answered_is_in_doubt_and_not_tried_again() {
    run(async {
        let Some(database) = postgres(3).await else { return };
        let pool = database.pool();
        commit_waits_for_lock(pool).await;
        let mut gate = pool.acquire().await.unwrap();
        gate.execute("SELECT pg_advisory_lock(1)").await.unwrap();
        let runs = Cell::new(0);
        let options = TransactionOptions::new();
        // The server ends the session in the middle of its COMMIT.
        let paying = options.retry(times(5), pool, async |tx: &mut PgConnection| {
            runs.set(runs.get() + 1);
            pay_in_postgres(tx, 30).await
        });
        let ends = async {
            let sql = "SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity WHERE query = 'COMMIT' \
                       AND wait_event_type = 'Lock' AND datname = current_database()";
            until(pool, sql).await;
        };
        let (ended, ()) = tokio::join!(paying, ends);
        assert!(matches!(ended, Err(TxError::InDoubt(CloseError::Failed(_)))), "{ended:?}");
        // It takes too long.
        let paying = options.end_within(ms(500)).retry(times(5), pool, async |tx: &mut PgConnection| {
            runs.set(runs.get() + 1);
            pay_in_postgres(tx, 30).await
        });
        let ended = paying.await;
        assert!(matches!(ended, Err(TxError::InDoubt(CloseError::TimedOut { .. }))), "{ended:?}");
        assert!(!ended.unwrap_err().is_transient());
        assert_eq!(runs.get(), 2);
        // Nobody gets the connection on which it is still under way.
        for _ in 0..4 {
            assert_eq!(idle_in_transaction(pool).await, 0);
        }
    });
}

#[test]
fn a_commit_that_is_refused_is_told_and_nothing_is_written() {
    run(async {
        let children = "CREATE TABLE children (of TEXT REFERENCES accounts DEFERRABLE INITIALLY DEFERRED)";
        let orphan = "INSERT INTO children VALUES ('nobody')";
        let database = in_memory(1).await;
        database.pool().execute(children).await.unwrap();
        let ended = transaction(database.pool(), async |tx: &mut SqliteConnection| {
            pay(tx, 30).await?;
            tx.execute(orphan).await
        });
        assert!(
            matches!(ended.await, Err(TxError::NotCommitted(error)) if error.as_database_error().is_some())
        );
        assert_eq!(ada(database.pool()).await, 50);
        all_or_nothing(database.pool()).await.unwrap();
        let Some(database) = postgres(1).await else { return };
        database.pool().execute(children).await.unwrap();
        let session = pid(database.pool()).await;
        let ended = transaction(database.pool(), async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            tx.execute(orphan).await
        });
        let error = ended.await.unwrap_err();
        assert!(matches!(error, TxError::NotCommitted(sqlx::Error::Database(_))), "{error:?}");
        let ada: i64 = sqlx::query_scalar(ADA).fetch_one(database.pool()).await.unwrap();
        assert_eq!((ada, pid(database.pool()).await), (50, session), "the connection is as good as before");
    });
}

#[test]
fn ok_means_committed_also_if_the_body_has_kept_an_error_to_itself() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        // PostgreSQL answers this COMMIT with "ROLLBACK", which for sqlx is no error.
        let mut bare = database.pool().begin().await.unwrap();
        pay_in_postgres(&mut bare, 30).await.unwrap();
        bare.execute("SELECT 1 / 0").await.unwrap_err();
        bare.commit().await.unwrap();
        let ada: i64 = sqlx::query_scalar(ADA).fetch_one(database.pool()).await.unwrap();
        assert_eq!(ada, 50);
        let ended = transaction(database.pool(), async |tx: &mut PgConnection| {
            let left = pay_in_postgres(tx, 30).await;
            tx.execute("SELECT 1 / 0").await.unwrap_err();
            left
        });
        let error = ended.await.unwrap_err();
        assert!(
            matches!(&error, TxError::NotCommitted(_)) && error.to_string().contains("aborted"),
            "{error}"
        );
    });
}

#[test]
fn a_failed_rollback_keeps_both_errors_and_throws_the_connection_away() {
    run(async {
        let Some(database) = postgres(2).await else { return };
        let pool = database.pool();
        let ended = transaction(pool, async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            let session: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await?;
            sqlx::query("SELECT pg_terminate_backend($1)").bind(session).execute(pool).await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        });
        let error = ended.await.unwrap_err();
        assert!(matches!(error, TxError::NotRolledBack { error: sqlx::Error::RowNotFound, .. }), "{error}");
        let ada: i64 = sqlx::query_scalar(ADA).fetch_one(pool).await.unwrap();
        assert_eq!(ada, 50);
    });
}

#[test]
fn a_transaction_that_sqlite_has_ended_by_itself_is_no_success_and_spoils_no_connection() {
    run(async {
        let database = in_memory(1).await;
        for _ in 0..3 {
            let ended = transaction(database.pool(), async |tx: &mut SqliteConnection| {
                pay(tx, 30).await?;
                tx.execute("INSERT OR ROLLBACK INTO accounts VALUES ('ada', 0)").await.unwrap_err();
                Ok::<_, sqlx::Error>(())
            });
            assert!(matches!(ended.await, Err(TxError::NotCommitted(_))));
            all_or_nothing(database.pool()).await.unwrap();
        }
        assert_eq!(ada(database.pool()).await, 50);
    });
}

/// A database of which nothing is left when its only connection is thrown away.
async fn gone_with_its_connection() -> SqlitePool {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    pool.execute(ACCOUNTS).await.unwrap();
    pool
}

#[test]
fn what_sqlite_has_ended_by_itself_is_rolled_back_and_its_connection_stays() {
    run(async {
        let pool = gone_with_its_connection().await;
        let ended_by: &[&'static str] = &[
            "INSERT OR ROLLBACK INTO accounts VALUES ('ada', 0)",
            "INSERT INTO forbidden VALUES (1)",
            "ROLLBACK",
        ];
        pool.execute(
            "CREATE TABLE forbidden (n); CREATE TRIGGER no BEFORE INSERT ON forbidden \
             BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        )
        .await
        .unwrap();
        for sql in ended_by {
            let ended = transaction(&pool, async |tx: &mut SqliteConnection| {
                pay(tx, 30).await?;
                tx.execute(*sql).await?;
                Err::<(), _>(sqlx::Error::RowNotFound)
            });
            let ended = ended.await;
            assert!(matches!(ended, Err(TxError::Failed(_))), "{sql}: {ended:?}");
            all_or_nothing(&pool).await.unwrap();
            assert_eq!(ada(&pool).await, 50, "{sql}");
        }
        // And the next one commits.
        transaction(&pool, async |tx: &mut SqliteConnection| pay(tx, 30).await).await.unwrap();
        pool.execute("UPDATE accounts SET balance = 50").await.unwrap();
        assert_eq!(ada(&pool).await, 50);
    });
}

#[test]
fn after_sqlite_has_ended_it_by_itself_nothing_more_is_written() {
    run(async {
        let pool = gone_with_its_connection().await;
        let rows = async || {
            let sql = "SELECT count(*) FROM accounts";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap()
        };
        for fails in [true, false] {
            let ended = transaction(&pool, async |tx: &mut SqliteConnection| {
                pay(tx, 30).await?;
                tx.execute("INSERT OR ROLLBACK INTO accounts VALUES ('ada', 0)").await.unwrap_err();
                // By itself, in a savepoint, and in a transaction of sqlx's own.
                tx.execute("INSERT INTO accounts VALUES ('eve', 0)").await.unwrap_err();
                tx.execute("UPDATE accounts SET balance = 0; SELECT 1").await.unwrap_err();
                savepoint(tx, async |tx| tx.execute("INSERT INTO accounts VALUES ('eve', 0)").await)
                    .await
                    .unwrap_err();
                if fails { Err(sqlx::Error::RowNotFound) } else { Ok(()) }
            });
            match (fails, ended.await) {
                (true, Err(TxError::Failed(sqlx::Error::RowNotFound)))
                | (false, Err(TxError::NotCommitted(_))) => {}
                (_, ended) => panic!("{ended:?}"),
            }
            assert_eq!((rows().await, ada(&pool).await), (2, 50));
            all_or_nothing(&pool).await.unwrap();
        }
    });
}

/// Polls it until it has waited so many times, and drops it then. `None`: it was dropped.
async fn dropped_after<F: Future>(waits: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waited = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if waited == waits => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

#[test]
fn a_savepoint_that_is_dropped_at_any_await_costs_its_transaction_and_nothing_else_in_sqlite() {
    run(async {
        let pool = gone_with_its_connection().await;
        // How many there are depends on how quickly SQLite's thread answers; the last of a round is dropped in its body.
        for round in 0..20 {
            for waits in 0.. {
                let mut done = false;
                let ended = transaction(&pool, async |tx: &mut SqliteConnection| {
                    pay(tx, 5).await?;
                    let point = savepoint(tx, async |tx| pay(tx, 10).await);
                    done = dropped_after(waits, point).await.is_some();
                    pay(tx, 5).await
                });
                let ended = ended.await;
                all_or_nothing(&pool).await.unwrap();
                if done {
                    assert_eq!((ended.unwrap(), ada(&pool).await), (30, 30));
                    break;
                }
                assert!(matches!(ended, Err(TxError::NotCommitted(_))), "{round}, {waits}: {ended:?}");
                assert_eq!(ada(&pool).await, 50, "{round}, {waits}");
            }
            pool.execute("UPDATE accounts SET balance = 50").await.unwrap();
            let ended = transaction(&pool, async |tx: &mut SqliteConnection| {
                timeout(ms(2), stays_in_a_savepoint(tx)).await.unwrap_err();
                pay(tx, 5).await
            });
            assert!(matches!(ended.await, Err(TxError::NotCommitted(_))), "{round}");
            all_or_nothing(&pool).await.unwrap();
            assert_eq!(ada(&pool).await, 50, "{round}");
        }
    });
}

async fn stays_in_a_savepoint(tx: &mut SqliteConnection) -> sqlx::Result<()> {
    let body = async |tx: &mut SqliteConnection| {
        pay(tx, 10).await?;
        pending().await
    };
    savepoint(tx, body).await
}

#[test]
fn a_savepoint_that_is_dropped_at_any_await_costs_its_transaction_and_nothing_else_in_postgres() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let pool = database.pool();
        let first = pid(pool).await;
        for waits in 0.. {
            let (mut done, mut after) = (false, Ok(0));
            let ended = transaction(pool, async |tx: &mut PgConnection| {
                pay_in_postgres(tx, 5).await?;
                let point = savepoint(tx, async |tx| pay_in_postgres(tx, 10).await);
                done = dropped_after(waits, point).await.is_some();
                after = pay_in_postgres(tx, 5).await;
                Ok::<_, sqlx::Error>(())
            });
            let ended = ended.await;
            let ada: i64 = sqlx::query_scalar(ADA).fetch_one(pool).await.unwrap();
            if done {
                ended.unwrap();
                assert_eq!((after.unwrap(), ada), (30, 30));
                break;
            }
            assert!(matches!(ended, Err(TxError::NotCommitted(_))), "{waits}: {ended:?}");
            assert_eq!(ada, 50, "{waits}");
            assert_eq!(pid(pool).await, first, "{waits}: the connection is as good as before");
        }
        // One whose statement fails after it was dropped, and the body goes on or does not.
        for goes_on in [false, true] {
            let ended = transaction(pool, async |tx: &mut PgConnection| {
                pay_in_postgres(tx, 5).await?;
                let late = savepoint(tx, async |tx| {
                    tx.execute("SELECT 1 / (random() * 0)::int FROM pg_sleep(0.05)").await
                });
                timeout(ms(10), late).await.unwrap_err();
                if goes_on {
                    tx.execute("SELECT 1").await.ok();
                }
                Ok::<_, sqlx::Error>(())
            });
            let ended = ended.await;
            assert!(matches!(ended, Err(TxError::NotCommitted(_))), "{ended:?}");
            assert_eq!(pid(pool).await, first);
        }
        let sum: i64 = sqlx::query_scalar(SUM).fetch_one(pool).await.unwrap();
        assert_eq!((sum, idle_in_transaction(pool).await), (100, 0));
    });
}

#[test]
fn a_savepoint_belongs_to_the_transaction_whose_connection_it_was_given() {
    run(async {
        let (one, two) = (gone_with_its_connection().await, gone_with_its_connection().await);
        // Dropped within the inner transaction, it is the outer one that it costs.
        let ended = transaction(&one, async |outer: &mut SqliteConnection| {
            pay(outer, 10).await?;
            let inner = transaction(&two, async |tx: &mut SqliteConnection| {
                timeout(ms(20), stays_in_a_savepoint(outer)).await.unwrap_err();
                savepoint(tx, async |tx| {
                    savepoint(tx, async |tx| pay(tx, 3).await).await?;
                    let fails = savepoint(tx, async |tx| {
                        pay(tx, 3).await?;
                        Err::<(), _>(sqlx::Error::RowNotFound)
                    });
                    fails.await.unwrap_err();
                    pay(tx, 4).await
                })
                .await
            });
            inner.await.unwrap();
            Ok::<_, sqlx::Error>(())
        });
        assert!(matches!(ended.await, Err(TxError::NotCommitted(_))));
        assert_eq!((ada(&one).await, ada(&two).await), (50, 43));
        // A panic that somebody catches is no better than a drop.
        let ended = transaction(&one, async |tx: &mut SqliteConnection| {
            let point = savepoint(tx, async |_| -> sqlx::Result<()> { panics("in it") });
            AssertUnwindSafe(point).catch_unwind().await.unwrap_err();
            pay(tx, 10).await
        });
        assert!(matches!(ended.await, Err(TxError::NotCommitted(_))));
        // Where nobody would notice, there is none, and nothing is begun.
        let mut bare = one.acquire().await.unwrap();
        savepoint(&mut *bare, async |tx| pay(tx, 10).await).await.unwrap_err();
        drop(bare);
        all_or_nothing(&one).await.unwrap();
        assert_eq!(ada(&one).await, 50);
    });
}

#[test]
fn a_savepoint_that_the_body_has_lost_ends_with_the_transaction() {
    run(async {
        let database = in_memory(1).await;
        for (gives, left) in [(Err(sqlx::Error::RowNotFound), 50), (Ok(()), 20)] {
            let ended = transaction(database.pool(), async |tx: &mut SqliteConnection| {
                std::mem::forget(tx.begin().await?);
                std::mem::forget(tx.begin().await?);
                pay(tx, 30).await?;
                gives
            });
            assert_eq!(ended.await.is_ok(), left == 20);
            all_or_nothing(database.pool()).await.unwrap();
            assert_eq!(ada(database.pool()).await, left);
        }
    });
}

#[test]
fn a_savepoint_undoes_what_failed_in_it_and_the_transaction_goes_on() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let ended = transaction(database.pool(), async |tx: &mut PgConnection| {
            let failed = savepoint(tx, async |tx| {
                pay_in_postgres(tx, 10).await?;
                tx.execute("SELECT 1 / 0").await
            });
            assert!(failed.await.unwrap_err().to_string().contains("zero"));
            savepoint(tx, async |tx| pay_in_postgres(tx, 30).await).await
        });
        assert_eq!(ended.await.unwrap(), 20);
        assert_eq!(idle_in_transaction(database.pool()).await, 0);
    });
}

#[test]
fn what_conflicts_is_done_again_as_a_whole_and_nothing_else_is() {
    run(async {
        let database = sqlite(Database::sqlite(), 2).await;
        let pool = database.pool();
        let options = TransactionOptions::<Sqlite>::new().deferred();
        // It reads, somebody else writes, and then it is too late to write.
        let runs = Cell::new(0);
        let paid = options.retry(times(3), pool, async |tx: &mut SqliteConnection| {
            runs.set(runs.get() + 1);
            let ada: i64 = sqlx::query_scalar(ADA).fetch_one(&mut *tx).await?;
            if runs.get() < 3 {
                balance("bob", 1).execute(pool).await?;
            }
            pay(tx, ada).await
        });
        assert_eq!(paid.await.unwrap(), 0);
        assert_eq!(runs.get(), 3);
        // No more than so often: the last error comes back as it is.
        let runs = Cell::new(0);
        let paid = options.retry(times(3), pool, async |tx: &mut SqliteConnection| {
            runs.set(runs.get() + 1);
            sqlx::query_scalar::<_, i64>(ADA).fetch_one(&mut *tx).await?;
            balance("bob", 1).execute(pool).await?;
            balance("bob", 1).execute(tx).await
        });
        let error = paid.await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("517"), "{error}");
        assert_eq!(runs.get(), 3);
        // A violated constraint is violated the next time, too.
        let runs = Cell::new(0);
        let paid = options.retry(times(3), pool, async |tx: &mut SqliteConnection| {
            runs.set(runs.get() + 1);
            pay(tx, 1).await
        });
        assert!(matches!(paid.await, Err(TxError::Failed(_))));
        assert_eq!(runs.get(), 1);
    });
}

#[test]
fn without_being_told_so_it_is_tried_once() {
    run(async {
        let database = sqlite(Database::sqlite(), 2).await;
        let mut runs = 0;
        let paid = TransactionOptions::<Sqlite>::new().deferred().run(
            database.pool(),
            async |tx: &mut SqliteConnection| {
                runs += 1;
                sqlx::query_scalar::<_, i64>(ADA).fetch_one(&mut *tx).await?;
                balance("bob", 1).execute(database.pool()).await?;
                balance("bob", 1).execute(tx).await
            },
        );
        assert!(paid.await.unwrap_err().is_transient());
        assert_eq!(runs, 1);
    });
}

#[test]
fn who_finds_sqlite_busy_at_its_begin_tries_again_within_the_limit() {
    run(async {
        let database = in_memory(2).await;
        let url = AssertSqlSafe("PRAGMA busy_timeout = 0");
        let pool = database.pool_with(SqlitePoolOptions::new().max_connections(1));
        pool.execute(url).await.unwrap();
        let mut writer = database.pool().acquire().await.unwrap();
        writer.execute("BEGIN IMMEDIATE").await.unwrap();
        let body = async |tx: &mut SqliteConnection| pay(tx, 30).await;
        let error = transaction(&pool, body).await.unwrap_err();
        assert!(matches!(&error, TxError::NotBegun(_)) && error.is_transient(), "{error}");
        assert_eq!(pool.size(), 1, "a connection on which nothing was begun is kept");
        let options = TransactionOptions::new().within(ms(300));
        let error = options.retry(times(100_000), &pool, body).await.unwrap_err();
        assert!(matches!(error, TxError::NotBegun(_) | TxError::TimedOut { .. }), "{error}");
        let free = async {
            sleep(ms(30)).await;
            writer.execute("ROLLBACK").await.unwrap();
        };
        let (paid, ()) = tokio::join!(options.within(LONG).retry(times(100_000), &pool, body), free);
        assert_eq!(paid.unwrap(), 20);
    });
}

#[test]
fn serialisation_failures_and_deadlocks_are_done_again_in_postgres() {
    let Some(database) = run(postgres(1)) else { return };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = PgPool::connect(database.url()).await.unwrap();
        let options = TransactionOptions::<Postgres>::new().within(LONG);
        // Each moves one to the other if the sum is what it should be: as if one after the other.
        let serial = options.isolation(Isolation::Serializable);
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let moved = serial.retry(times(1000), &pool, async |tx: &mut PgConnection| {
                    let ada: i64 = sqlx::query_scalar(ADA).fetch_one(&mut *tx).await?;
                    let set = sqlx::query("UPDATE accounts SET balance = $1 WHERE name = 'ada'");
                    set.bind(ada + 1).execute(tx).await
                });
                moved.await.map(drop)
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap().unwrap();
        }
        let ada: i64 = sqlx::query_scalar(ADA).fetch_one(&pool).await.unwrap();
        assert_eq!(ada, 70, "none of twenty is lost");
        // Two that take the same rows in another order, and meet.
        let (mut meets, mut runs) = (JoinSet::new(), 0);
        let both = Arc::new(tokio::sync::Barrier::new(2));
        for names in [["ada", "bob"], ["bob", "ada"]] {
            let (pool, both) = (pool.clone(), both.clone());
            meets.spawn(async move {
                let runs = AtomicUsize::new(0);
                let moved = options.retry(times(1000), &pool, async |tx: &mut PgConnection| {
                    let runs = runs.fetch_add(1, SeqCst) + 1;
                    tx.execute("SET LOCAL deadlock_timeout = '20ms'").await?;
                    for name in names {
                        let touch = sqlx::query("UPDATE accounts SET balance = balance + 1 WHERE name = $1");
                        touch.bind(name).execute(&mut *tx).await?;
                        if runs == 1 && name == names[0] {
                            both.wait().await;
                        }
                    }
                    Ok::<_, sqlx::Error>(())
                });
                moved.await.map(|()| runs.load(SeqCst))
            });
        }
        while let Some(ended) = meets.join_next().await {
            runs += ended.unwrap().unwrap();
        }
        assert!(runs >= 3, "one of the two was the victim: {runs} runs");
        pool.close().await;
    });
    runtime.block_on(database.pool().close());
}

#[test]
fn what_is_transient_is_found_inside_an_error_of_ones_own() {
    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("no order: {0}")]
        Query(#[from] sqlx::Error),
        #[error(transparent)]
        Other(sqlx::Error),
        #[error("sold out")]
        SoldOut,
    }
    run(async {
        let database = in_memory(2).await;
        let mut writer = database.pool().acquire().await.unwrap();
        writer.execute("BEGIN IMMEDIATE").await.unwrap();
        let mut other = database.pool().acquire().await.unwrap();
        other.execute("PRAGMA busy_timeout = 0").await.unwrap();
        let mut busy = async || -> sqlx::Error { other.execute("BEGIN IMMEDIATE").await.unwrap_err() };
        assert!(is_transient(&busy().await));
        assert!(is_transient(&Failure::Query(busy().await)));
        assert!(is_transient(&Failure::Other(busy().await)));
        assert!(is_transient(&TxError::Failed(Failure::Query(busy().await))));
        assert!(!is_transient(&Failure::SoldOut));
        assert!(!is_transient(&Failure::Other(sqlx::Error::PoolTimedOut)));
    });
}

#[test]
fn nested_use_is_refused_at_once_and_says_where_the_outer_one_is() {
    run(async {
        let database = in_memory(2).await;
        let pool = database.pool();
        let line = line!() + 1;
        let ended = transaction(pool, async |_: &mut SqliteConnection| {
            let clone = pool.clone();
            transaction(&clone, async |_: &mut SqliteConnection| Ok::<_, sqlx::Error>(())).await
        });
        let error = ended.await.unwrap_err();
        let TxError::Failed(TxError::Nested { outer, inner }) = error else { panic!("{error}") };
        assert_eq!((outer.file(), outer.line(), inner.line()), (file!(), line, line + 2));
        // Before and after it, beside it, and on another pool, it is not nested.
        let other = in_memory(1).await;
        let one = transaction(pool, async |_: &mut SqliteConnection| {
            transaction(other.pool(), async |tx: &mut SqliteConnection| pay(tx, 1).await).await
        });
        let two =
            TransactionOptions::<Sqlite>::new().deferred().run(pool, async |tx: &mut SqliteConnection| {
                sqlx::query_scalar::<_, i64>(ADA).fetch_one(tx).await
            });
        let (one, two) = tokio::join!(one, two);
        assert_eq!((one.unwrap(), two.unwrap()), (49, 50));
    });
}

#[test]
fn ten_thousand_nested_ones_on_a_pool_of_two_end() {
    run(async {
        let database = in_memory(2).await;
        let pool = database.pool().clone();
        let nested = async move {
            let mut tasks = JoinSet::new();
            for _ in 0..4 {
                let pool = pool.clone();
                tasks.spawn(async move {
                    for _ in 0..2500 {
                        let read = TransactionOptions::<Sqlite>::new().deferred();
                        let ended = read.run(&pool, async |_: &mut SqliteConnection| {
                            transaction(&pool, async |_: &mut SqliteConnection| Ok::<_, sqlx::Error>(()))
                                .await
                        });
                        assert!(matches!(ended.await, Err(TxError::Failed(TxError::Nested { .. }))));
                    }
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
        };
        timeout(LONG, nested).await.unwrap();
    });
}

#[test]
fn what_is_late_gives_up_its_place_in_the_queue_and_is_rolled_back() {
    run(async {
        let database = in_memory(1).await;
        let pool = database.pool();
        let options = TransactionOptions::new().within(ms(30));
        let late = options.run(pool, async |tx: &mut SqliteConnection| {
            pay(tx, 30).await?;
            pending::<sqlx::Result<i64>>().await
        });
        assert!(matches!(late.await, Err(TxError::TimedOut { limit }) if limit == ms(30)));
        all_or_nothing(pool).await.unwrap();
        let held = pool.acquire().await.unwrap();
        let mut runs = 0;
        let waits = options.run(pool, async |tx: &mut SqliteConnection| {
            runs += 1;
            pay(tx, 30).await
        });
        assert!(matches!(waits.await, Err(TxError::TimedOut { .. })));
        drop(held);
        assert_eq!((ada(pool).await, runs), (50, 0));
    });
}

#[test]
fn what_is_late_is_stopped_on_the_server_too() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let pool = database.pool();
        let session = pid(pool).await;
        let options = TransactionOptions::new().within(ms(100));
        let late = options.run(pool, async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            tx.execute("SELECT pg_sleep(600)").await
        });
        let error = late.await.unwrap_err();
        // Whoever is first: the deadline here, or the server's.
        assert!(matches!(error, TxError::TimedOut { .. } | TxError::Failed(_)), "{error}");
        // The next one gets the same session: its statement has been stopped, it is rolled back, and not thrown away.
        assert_eq!(pid(pool).await, session);
        let (limit, ada): (String, i64) = sqlx::query_as(
            "SELECT current_setting('statement_timeout'), balance FROM accounts WHERE name = 'ada'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!((limit.as_str(), ada), ("0", 50), "the limit was for that transaction only");
    });
}

#[test]
fn a_rollback_that_takes_too_long_costs_the_connection_and_not_the_next_one() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let (admin, pool) = (database.pool(), one(&database));
        let session = pid(&pool).await;
        let options = TransactionOptions::new().end_within(ms(50));
        let slow = options.run(&pool, async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            tx.execute("SELECT pg_sleep(600)").await
        });
        dropped_while_it_sleeps(admin, slow).await;
        assert_ne!(pid(&pool).await, session);
        sqlx::query("SELECT pg_terminate_backend($1)").bind(session).execute(admin).await.unwrap();
        until(admin, "SELECT balance = 50 FROM accounts WHERE name = 'ada'").await;
    });
}

#[test]
fn an_error_that_nobody_read_does_not_keep_a_rollback_from_going_well() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let (admin, pool) = (database.pool(), one(&database));
        let session = pid(&pool).await;
        let failing = transaction(&pool, async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            tx.execute("SELECT pg_sleep(0.5), 1 / (SELECT 0)").await
        });
        dropped_while_it_sleeps(admin, failing).await;
        assert_eq!(pid(&pool).await, session, "the connection was not to blame");
        assert_eq!(idle_in_transaction(admin).await, 0);
    });
}

#[test]
fn sessions_that_the_server_ends_under_load_are_errors_and_then_it_goes_on() {
    let Some(database) = run(postgres(1)) else { return };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = PgPool::connect(database.url()).await.unwrap();
        let mut load = JoinSet::new();
        for _ in 0..8 {
            let pool = pool.clone();
            load.spawn(async move {
                let (mut done, mut lost) = (0, 0);
                for n in 0..50 {
                    let body = async |tx: &mut PgConnection| pay_in_postgres(tx, 1 - 2 * (n % 2)).await;
                    match transaction(&pool, body).await {
                        Ok(_) => done += 1,
                        Err(_) => lost += 1,
                    }
                }
                (done, lost)
            });
        }
        let mut admin = PgConnection::connect(database.url()).await.unwrap();
        for _ in 0..20 {
            admin
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .await
                .unwrap();
            sleep(ms(5)).await;
        }
        while let Some(task) = load.join_next().await {
            task.unwrap();
        }
        for n in 0..30 {
            let body = async |tx: &mut PgConnection| pay_in_postgres(tx, 1 - 2 * (n % 2)).await;
            let options = TransactionOptions::new();
            timeout(LONG, options.retry(times(3), &pool, body)).await.unwrap().unwrap();
        }
        let sum: i64 = sqlx::query_scalar(SUM).fetch_one(&pool).await.unwrap();
        assert_eq!((sum, idle_in_transaction(&pool).await), (100, 0));
        timeout(LONG, pool.close()).await.unwrap();
    });
    runtime.block_on(database.pool().close());
}

#[cfg(unix)]
#[test]
fn a_server_that_is_killed_under_load_is_errors_and_then_it_goes_on() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(mut server) = or_skip(PostgresServer::start().await) else { return };
        let options = PoolOptions::<Postgres>::new().acquire_timeout(LONG);
        let pool = options.connect_with(server.options()).await.unwrap();
        pool.execute(ACCOUNTS).await.unwrap();
        let so_far = Arc::new(AtomicU32::new(0));
        let mut load = JoinSet::new();
        for _ in 0..8 {
            let (pool, so_far) = (pool.clone(), so_far.clone());
            load.spawn(async move {
                let (mut paid, mut in_doubt) = (0, 0);
                for _ in 0..100 {
                    let body = async |tx: &mut PgConnection| {
                        tx.execute("INSERT INTO accounts VALUES (gen_random_uuid()::text, 1)").await
                    };
                    match transaction(&pool, body).await {
                        Ok(_) => {
                            paid += 1;
                            so_far.fetch_add(1, SeqCst);
                        }
                        Err(TxError::InDoubt(_)) => in_doubt += 1,
                        Err(_) => {}
                    }
                }
                (paid, in_doubt)
            });
        }
        while so_far.load(SeqCst) < 20 {
            yield_now().await;
        }
        server.kill().unwrap();
        server.restart().await.unwrap();
        let (mut paid, mut in_doubt) = (0, 0);
        while let Some(ended) = timeout(LONG, load.join_next()).await.unwrap() {
            let (theirs, unsure) = ended.unwrap();
            (paid, in_doubt) = (paid + theirs, in_doubt + unsure);
        }
        let count = async |tx: &mut PgConnection| {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM accounts").fetch_one(tx).await
        };
        let found = timeout(LONG, transaction(&pool, count)).await.unwrap().unwrap() - 2;
        // Ok means committed, and an error other than in doubt means not.
        assert!((paid..=paid + in_doubt).contains(&found), "{paid} paid, {in_doubt} in doubt, {found} found");
        timeout(LONG, pool.close()).await.unwrap();
    });
}

#[test]
fn a_pool_that_is_closed_waits_for_the_rollback_of_what_was_dropped() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let (admin, pool) = (database.pool(), one(&database));
        let slow = transaction(&pool, async |tx: &mut PgConnection| {
            pay_in_postgres(tx, 30).await?;
            tx.execute("SELECT pg_sleep(0.5)").await
        });
        dropped_while_it_sleeps(admin, slow).await;
        timeout(LONG, pool.close()).await.unwrap();
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND state = 'active' AND pid <> pg_backend_pid()";
        let left: i64 = sqlx::query_scalar(sql).fetch_one(admin).await.unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn dropped_outside_its_runtime_it_is_rolled_back_and_after_its_end_nothing_panics() {
    let runtime = runtime();
    let database = runtime.block_on(in_memory(1));
    // For such a pool, sqlx starts a task whenever a connection is dropped.
    let pool = runtime
        .block_on(async { database.pool_with(PoolOptions::new().min_connections(1).max_connections(1)) });
    let begun = |runtime: &Runtime| {
        let (pool, (paid, is_paid)) = (pool.clone(), oneshot::channel());
        let mut paying = Box::pin(async move {
            let body = async |tx: &mut SqliteConnection| {
                pay(tx, 30).await?;
                paid.send(()).unwrap();
                pending::<sqlx::Result<()>>().await
            };
            transaction(&pool, body).await
        });
        runtime.block_on(async {
            tokio::select! {
                ended = &mut paying => panic!("{ended:?}"),
                paid = is_paid => paid.unwrap(),
            }
        });
        paying
    };
    let paying = begun(&runtime);
    drop(paying);
    runtime.block_on(all_or_nothing(&pool)).unwrap();
    let paying = begun(&runtime);
    drop(runtime);
    drop(paying);
}

#[test]
fn what_has_lost_its_runtime_ends_with_an_error() {
    let (first, second) = (runtime(), runtime());
    let database = first.block_on(in_memory(1));
    let pool = database.pool().clone();
    let ((go, gone), (paid, is_paid)) = (oneshot::channel::<()>(), oneshot::channel());
    let body = async |tx: &mut SqliteConnection| {
        pay(tx, 30).await?;
        paid.send(()).unwrap();
        gone.await.ok();
        Ok::<_, sqlx::Error>(())
    };
    let mut paying = Box::pin(transaction(&pool, body));
    first.block_on(async {
        tokio::select! {
            ended = &mut paying => panic!("{ended:?}"),
            paid = is_paid => paid.unwrap(),
        }
    });
    drop(first);
    go.send(()).unwrap();
    let ended = second.block_on(async { timeout(LONG, paying).await }).unwrap();
    assert!(matches!(ended, Err(TxError::InDoubt(_))), "{ended:?}");
}

#[test]
fn options_say_how_it_begins() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        let options = TransactionOptions::<Postgres>::new();
        let shows = async |options: TransactionOptions<Postgres>| {
            let body = async |tx: &mut PgConnection| {
                let sql = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')";
                sqlx::query_as::<_, (String, String)>(sql).fetch_one(tx).await
            };
            options.run(database.pool(), body).await.unwrap()
        };
        let shown = |isolation: &str, read_only: &str| (isolation.to_owned(), read_only.to_owned());
        assert_eq!(shows(options).await, shown("read committed", "off"));
        for (isolation, name) in [
            (Isolation::ReadCommitted, "read committed"),
            (Isolation::RepeatableRead, "repeatable read"),
            (Isolation::Serializable, "serializable"),
        ] {
            assert_eq!(shows(options.isolation(isolation).read_only()).await, shown(name, "on"));
        }
        let body = async |tx: &mut PgConnection| pay_in_postgres(tx, 30).await;
        assert!(matches!(options.read_only().run(database.pool(), body).await, Err(TxError::Failed(_))));
    });
}

#[test]
fn no_limit_is_too_long() {
    run(async {
        let database = in_memory(1).await;
        for limit in [Duration::MAX, Duration::MAX / 2] {
            let options = TransactionOptions::new().within(limit).end_within(limit);
            let body = async |tx: &mut SqliteConnection| pay(tx, 1).await;
            options.retry(times(2), database.pool(), body).await.unwrap();
        }
        let Some(database) = postgres(1).await else { return };
        let options = TransactionOptions::new().within(Duration::MAX);
        options
            .run(database.pool(), async |tx: &mut PgConnection| pay_in_postgres(tx, 1).await)
            .await
            .unwrap();
    });
}

#[test]
fn a_commit_that_is_answered_with_an_error_of_the_connection_is_in_doubt() {
    run(async {
        let Some(database) = postgres(1).await else { return };
        for code in ["08007", "08P01", "08006"] {
            // What a pooler says whose server has gone, here said by the server itself, at COMMIT.
            let sql = format!(
                "CREATE OR REPLACE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE 'server conn crashed?' USING ERRCODE = '{code}'; END $$; \
                 DROP TRIGGER IF EXISTS late ON accounts; \
                 CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION says()"
            );
            database.pool().execute(AssertSqlSafe(sql)).await.unwrap();
            let ended =
                transaction(database.pool(), async |tx: &mut PgConnection| pay_in_postgres(tx, 1).await)
                    .await;
            assert!(matches!(ended, Err(TxError::InDoubt(_))), "{code}: {ended:?}");
        }
    });
}

#[test]
fn in_sqlite_it_waits_for_its_turn_at_the_start_and_is_not_refused_later() {
    let database = run(sqlite(Database::sqlite(), 1));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = SqlitePoolOptions::new().max_connections(4).connect(database.url()).await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let body = async |tx: &mut SqliteConnection| {
                    sqlx::query_scalar::<_, i64>(ADA).fetch_one(&mut *tx).await?;
                    pay(tx, 1).await
                };
                transaction(&pool, body).await.map(drop)
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap().unwrap();
        }
        assert_eq!(ada(&pool).await, 30);
        pool.close().await;
    });
}

#[test]
fn its_futures_can_be_spawned_and_its_errors_are_errors() {
    fn spawnable<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let database = in_memory(1).await;
        let (name, amount) = (String::from("ada"), 5);
        let pool = database.pool().clone();
        let task = spawnable(async move {
            // What the body borrows lives in the same task.
            let (name, amount) = (&name, &amount);
            let body = async |tx: &mut SqliteConnection| {
                let update = sqlx::query("UPDATE accounts SET balance = balance - ? WHERE name = ?");
                update.bind(*amount).bind(name).execute(&mut *tx).await?;
                spawnable(savepoint(tx, async |tx| tx.execute("SELECT 1").await)).await
            };
            spawnable(transaction(&pool, body)).await.map(drop)
        });
        JoinSet::from_iter([task]).join_all().await.pop().unwrap().unwrap();
        assert_eq!(ada(database.pool()).await, 45);
        let closed = database.pool_with(PoolOptions::new().max_connections(1));
        closed.close().await;
        let ended = transaction(&closed, async |tx: &mut SqliteConnection| pay(tx, 1).await).await;
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(ended.unwrap_err());
        assert!(error.to_string().contains("begun") && error.source().is_some(), "{error}");
        assert_eq!(transaction::END_WITHIN, Duration::from_secs(10));
    });
}
