//! A database per test: what is in it, whose it is, and that nothing of it remains.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use sqlx::{
    Connection as _, PgPool, SqlSafeStr as _, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    pool::PoolOptions,
};
use std::{
    env,
    io::{BufRead as _, BufReader},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant as RealInstant},
};
use testing::{
    Database,
    database::{Error, or_skip},
    with_real_io,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// For what another process or thread does; it never takes that long, unless it never happens.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn migrations() -> Migrator {
    let migration = |version, sql: &'static str| {
        Migration::new(version, "a step".into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "CREATE TABLE orders (id INTEGER PRIMARY KEY)"),
        migration(2, "INSERT INTO orders VALUES (1), (2)"),
    ])
}

/// [`in_the_end`] without timers, for where the clock stands still.
async fn in_the_end_real(mut holds: impl AsyncFnMut() -> bool) {
    let start = RealInstant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
}

async fn in_the_end(mut holds: impl AsyncFnMut() -> bool, what: &str) {
    let start = RealInstant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

// SQLite

async fn sqlite_orders(pool: &SqlitePool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(pool).await.unwrap()
}

fn folder(database: &Database<sqlx::Sqlite>) -> PathBuf {
    let options = database.pool().connect_options();
    options.get_filename().parent().unwrap().to_owned()
}

#[test]
fn each_database_in_memory_is_its_own_and_all_its_connections_see_it() {
    runtime().block_on(async {
        let migrations = migrations();
        let one = Database::sqlite_in_memory().migrate(&migrations).await.unwrap();
        let other = Database::sqlite_in_memory().migrate(&migrations).await.unwrap();
        let mut connections = Vec::new();
        for id in 10..15 {
            let mut connection = one.pool().acquire().await.unwrap();
            sqlx::query("INSERT INTO orders VALUES ($1)").bind(id).execute(&mut *connection).await.unwrap();
            connections.push(connection);
        }
        drop(connections);
        let by_url = SqlitePool::connect(one.url()).await.unwrap();
        assert_eq!(sqlite_orders(&by_url).await, 7);
        assert_eq!(sqlite_orders(other.pool()).await, 2);
    });
}

#[test]
fn a_database_in_memory_outlives_the_connections_of_its_pool() {
    runtime().block_on(async {
        let database = Database::sqlite_in_memory().connections(1).migrate(&migrations()).await.unwrap();
        database.pool().acquire().await.unwrap().close().await.unwrap();
        // Its thread takes a moment to close what the database may hang on.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(sqlite_orders(database.pool()).await, 2);
    });
}

#[test]
fn a_database_in_a_file_has_a_write_ahead_log_and_its_folder_goes_with_it() {
    let folder = runtime().block_on(async {
        let database = Database::sqlite().migrate(&migrations()).await.unwrap();
        let by_url = SqlitePool::connect(database.url()).await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&by_url).await.unwrap();
        assert_eq!(mode, "wal");
        // A reader does not wait for a writer.
        let mut writing = database.pool().begin().await.unwrap();
        sqlx::query("INSERT INTO orders VALUES (9)").execute(&mut *writing).await.unwrap();
        assert_eq!(sqlite_orders(&by_url).await, 2);
        let folder = folder(&database);
        assert!(folder.is_dir());
        folder
    });
    assert!(!folder.exists(), "{}", folder.display());
}

#[test]
fn a_panic_or_a_cancelled_test_removes_the_folder_too() {
    let mut folders = Vec::new();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime().block_on(async {
            let database = Database::sqlite().await.unwrap();
            folders.push(folder(&database));
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    }));
    panicked.unwrap_err();
    runtime().block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tests = JoinSet::new();
        tests.spawn(async {
            let database = Database::sqlite().await.unwrap();
            let _busy = database.pool().begin().await.unwrap();
            tell.send(folder(&database)).unwrap();
            std::future::pending::<()>().await;
        });
        folders.push(told.await.unwrap());
        tests.shutdown().await;
    });
    for folder in folders {
        assert!(!folder.exists(), "{}", folder.display());
    }
}

#[test]
fn a_pool_that_outlives_its_database_is_closed() {
    runtime().block_on(async {
        let database = Database::sqlite().await.unwrap();
        let kept = database.pool().clone();
        let another = database.pool_with(PoolOptions::new().max_connections(1));
        another.acquire().await.unwrap();
        drop(database);
        for pool in [kept, another] {
            assert!(matches!(pool.acquire().await, Err(sqlx::Error::PoolClosed)));
        }
    });
}

#[test]
fn a_migration_that_fails_is_told_and_leaves_no_folder() {
    let wrong = Migrator::with_migrations(vec![Migration::new(
        1,
        "wrong".into(),
        MigrationType::Simple,
        "CREATE TABEL orders (id INTEGER)".into_sql_str(),
        false,
    )]);
    runtime().block_on(async {
        let failed = Database::sqlite_in_memory().migrate(&wrong).await.unwrap_err();
        assert!(matches!(failed, Error::Migrate(_)), "{failed}");
        if let Err(failed) = Database::postgres().migrate(&wrong).await {
            assert!(matches!(failed, Error::Migrate(_) | Error::Unavailable { .. }), "{failed}");
        }
    });
}

#[test]
fn migrations_are_read_from_a_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrations");
    runtime().block_on(async {
        let migrations = Migrator::new(folder.as_path()).await.unwrap();
        let database = Database::sqlite_in_memory().migrate(&migrations).await.unwrap();
        assert_eq!(sqlite_orders(database.pool()).await, 0);
    });
}

#[test]
fn on_a_paused_clock_a_database_is_created_and_asked_without_virtual_time() {
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    paused.block_on(async {
        let start = Instant::now();
        let database = Database::sqlite().migrate(&migrations()).await.unwrap();
        assert_eq!(with_real_io(sqlite_orders(database.pool())).await, 2);
        let Some(database) = or_skip(Database::postgres().migrate(&migrations()).await) else { return };
        assert_eq!(with_real_io(orders(database.pool())).await, 2);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_thousand_databases_in_memory_with_busy_writers_raise_no_error() {
    let runtime = runtime();
    for seed in 0..1000 {
        runtime.block_on(async {
            let mut random = fastrand::Rng::with_seed(seed);
            let database = Database::sqlite_in_memory().connections(2).await.unwrap();
            sqlx::query("CREATE TABLE orders (id INTEGER)").execute(database.pool()).await.unwrap();
            let mut writers = JoinSet::new();
            for _ in 0..random.usize(2..4) {
                let pool = database.pool().clone();
                writers.spawn(async move {
                    sqlx::query("INSERT INTO orders VALUES (1)").execute(&pool).await.unwrap();
                });
            }
            let n = writers.len();
            writers.join_all().await;
            assert_eq!(sqlite_orders(database.pool()).await, i64::try_from(n).unwrap());
        });
    }
}

// PostgreSQL

async fn orders(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(pool).await.unwrap()
}

async fn name(pool: &PgPool) -> String {
    sqlx::query_scalar("SELECT current_database()::text").fetch_one(pool).await.unwrap()
}

/// How many databases there are with such a name.
async fn databases(pool: &PgPool, like: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_database WHERE datname LIKE $1";
    sqlx::query_scalar(count).bind(like).fetch_one(pool).await.unwrap()
}

// ANCHOR: own
#[test]
fn each_test_has_a_postgres_database_of_its_own() {
    runtime().block_on(async {
        let migrations = migrations();
        let Some(one) = or_skip(Database::postgres().migrate(&migrations).await) else { return };
        let other = Database::postgres().migrate(&migrations).await.unwrap();
        let empty = Database::postgres().await.unwrap();
        sqlx::query("INSERT INTO orders VALUES (3)").execute(one.pool()).await.unwrap();
        let by_url = PgPool::connect(one.url()).await.unwrap();
        assert_eq!((orders(&by_url).await, orders(other.pool()).await), (3, 2));
        sqlx::query("SELECT id FROM orders").execute(empty.pool()).await.unwrap_err();
    });
}
// ANCHOR_END: own

#[test]
fn migrations_run_once_and_their_databases_are_copies() {
    runtime().block_on(async {
        let step = Migration::new(
            1,
            "when".into(),
            MigrationType::Simple,
            "CREATE TABLE ran AS SELECT clock_timestamp()::text AS at".into_sql_str(),
            false,
        );
        let migrations = Migrator::with_migrations(vec![step]);
        let Some(one) = or_skip(Database::postgres().migrate(&migrations).await) else { return };
        let other = Database::postgres().migrate(&migrations).await.unwrap();
        let when = async |database: &Database<sqlx::Postgres>| -> String {
            sqlx::query_scalar("SELECT at FROM ran").fetch_one(database.pool()).await.unwrap()
        };
        assert_eq!(when(&one).await, when(&other).await);
    });
}

#[test]
fn a_postgres_database_and_its_connections_are_gone_after_a_return_a_panic_and_a_cancelled_test() {
    let watching = runtime();
    let Some(watch) = watching.block_on(async { or_skip(Database::postgres().await) }) else { return };
    let mut names = Vec::new();
    runtime().block_on(async {
        let database = Database::postgres().await.unwrap();
        names.push(name(database.pool()).await);
    });
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime().block_on(async {
            let database = Database::postgres().await.unwrap();
            let _busy = database.pool().begin().await.unwrap();
            names.push(name(database.pool()).await);
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    }));
    panicked.unwrap_err();
    let kept = runtime();
    let leaked = kept.block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tests = JoinSet::new();
        tests.spawn(async {
            let database = Database::postgres().await.unwrap();
            tell.send((name(database.pool()).await, database.pool().acquire().await.unwrap())).unwrap();
            std::future::pending::<()>().await;
        });
        let (name, connection) = told.await.unwrap();
        names.push(name);
        tests.shutdown().await;
        connection
    });
    // A connection goes back to its pool in a task.
    let _runtime = kept.enter();
    watching.block_on(async {
        for name in names {
            in_the_end(async || databases(watch.pool(), &name).await == 0, "the database is still there")
                .await;
            let open: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = $1")
                .bind(&name)
                .fetch_one(watch.pool())
                .await
                .unwrap();
            assert_eq!(open, 0, "{name}");
        }
    });
    drop(leaked);
}

#[test]
fn a_setup_that_is_dropped_half_way_leaves_no_database() {
    runtime().block_on(async {
        let Some(watch) = or_skip(Database::postgres().await) else { return };
        let own = name(watch.pool()).await;
        let number = own.rsplit('_').next().unwrap().parse::<u64>().unwrap();
        for wait in [0, 1, 2, 5, 10, 20, 40, 80] {
            let setup = timeout(Duration::from_millis(wait), Database::postgres().into_future());
            drop(setup.await);
        }
        let next = Database::postgres().await.unwrap();
        let last = name(next.pool()).await.rsplit('_').next().unwrap().parse::<u64>().unwrap();
        let between = (number + 1..last).map(|n| own.replace(&format!("_{number}"), &format!("_{n}")));
        for abandoned in between {
            // Or another test's, which ends some day, too.
            in_the_end(async || databases(watch.pool(), &abandoned).await == 0, "it is still there").await;
        }
    });
}

// What takes a process of its own: this program, started again for one of the tests below.

/// Runs one of the tests that are ignored otherwise.
fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--test-threads=1"]);
    command.env_remove("REQUIRE_POSTGRES").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts one that tells a line and waits; gives the line.
fn until_it_tells(mut command: Command) -> (Child, String) {
    let mut child = command.arg("--nocapture").spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let told = out
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("TOLD ").map(|(_, told)| told.to_owned()));
    (child, told.expect("it tells something"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[ignore = "started by other tests"]
fn tells_its_database_and_waits() {
    runtime().block_on(async {
        let database = Database::postgres().migrate(&migrations()).await.unwrap();
        let settings = "SELECT current_setting('data_directory') || ' ' || current_database()";
        let told: String = sqlx::query_scalar(settings).fetch_one(database.pool()).await.unwrap();
        println!("TOLD {told}");
        std::future::pending::<()>().await;
    });
}

#[test]
#[ignore = "started by other tests"]
fn creates_a_database_and_returns() {
    runtime().block_on(async {
        let database = Database::postgres().migrate(&migrations()).await.unwrap();
        assert_eq!(orders(database.pool()).await, 2);
    });
}

#[test]
#[ignore = "started by other tests"]
fn is_skipped_without_postgres() {
    runtime().block_on(async {
        let Some(_database) = or_skip(Database::postgres().await) else { return };
        panic!("there is one");
    });
}

#[test]
fn a_server_ends_with_the_process_that_was_killed_and_so_does_its_folder() {
    if runtime().block_on(async { or_skip(Database::postgres().await) }).is_none() {
        return;
    }
    let mut start = again("tells_its_database_and_waits");
    start.env_remove("DATABASE_URL");
    let (mut child, told) = until_it_tells(start);
    let data = Path::new(told.split(' ').next().unwrap());
    let server = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let server = Path::new("/proc").join(server.lines().next().unwrap());
    assert!(!Path::new("/proc/self").exists() || server.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    runtime().block_on(async {
        let folder = data.parent().unwrap();
        in_the_end(async || !folder.exists(), &format!("{} is still there", folder.display())).await;
        in_the_end(async || !server.exists(), &format!("{} still runs", server.display())).await;
    });
}

#[test]
fn on_a_server_of_others_nothing_remains_and_what_a_killed_process_left_goes_with_the_next() {
    runtime().block_on(async {
        // This test's own database plays the server that others use.
        let Some(shared) = or_skip(Database::postgres().await) else { return };
        let like = {
            let here =
                "SELECT 'testing\\_' || oid || '\\_%' FROM pg_database WHERE datname = current_database()";
            sqlx::query_scalar::<_, String>(here).fetch_one(shared.pool()).await.unwrap()
        };
        let there = |test| {
            let mut command = again(test);
            command.env("DATABASE_URL", shared.url());
            command
        };
        let (mut alive, _) = until_it_tells(there("tells_its_database_and_waits"));
        assert_eq!(databases(shared.pool(), &like).await, 2, "a database and its template");
        let (mut killed, _) = until_it_tells(there("tells_its_database_and_waits"));
        assert_eq!(databases(shared.pool(), &like).await, 4);
        killed.kill().unwrap();
        killed.wait().unwrap();
        // The server notices the end of the connection a little later.
        let only_those_of_the_living = async || {
            let output = there("creates_a_database_and_returns").output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            let n = databases(shared.pool(), &like).await;
            assert!(n >= 2, "a database of a living process was dropped");
            n == 2
        };
        in_the_end(only_those_of_the_living, "what was left by a process that has ended is still there")
            .await;
        alive.kill().unwrap();
        alive.wait().unwrap();
    });
}

#[test]
fn a_server_of_others_that_does_not_answer_is_told_and_not_skipped() {
    let mut command = again("is_skipped_without_postgres");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output =
        command.env("DATABASE_URL", format!("postgres://me:secret@127.0.0.1:{port}/mine")).output().unwrap();
    assert!(!output.status.success());
    assert!(
        text(&output).contains("DATABASE_URL is set, but that server can't be used"),
        "{}",
        text(&output)
    );
    assert!(!text(&output).contains("secret"));
}

#[test]
fn without_postgres_a_test_is_skipped_aloud_unless_it_is_required() {
    let without = || {
        let mut command = again("is_skipped_without_postgres");
        command.env_remove("DATABASE_URL").env("POSTGRES_BIN", "/nowhere");
        command
    };
    let skipped = without().output().unwrap();
    assert!(skipped.status.success(), "{}", text(&skipped));
    let told = String::from_utf8_lossy(&skipped.stderr).into_owned();
    assert!(
        told.contains("SKIPPED is_skipped_without_postgres") && told.contains("/nowhere"),
        "{}",
        text(&skipped)
    );
    assert!(told.contains("apt-get install postgresql"));

    let failed = without().env("REQUIRE_POSTGRES", "1").output().unwrap();
    assert!(!failed.status.success());
    assert!(text(&failed).contains("REQUIRE_POSTGRES=1"), "{}", text(&failed));
    let zero = without().env("REQUIRE_POSTGRES", "0").output().unwrap();
    assert!(zero.status.success());
}

#[test]
fn a_connection_by_url_needs_nothing_of_the_environment() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
        connection.ping().await.unwrap();
        assert!(!format!("{database:?}").contains("postgres://"));
    });
}

#[cfg(unix)]
#[test]
fn a_server_of_ones_own_is_killed_and_started_again_also_on_a_paused_clock() {
    use testing::database::PostgresServer;
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let Some(mut server) = or_skip(PostgresServer::start().await) else { return };
        let pool = PgPool::connect_lazy_with(server.options());
        with_real_io(async {
            sqlx::query("CREATE TABLE orders AS SELECT 7 AS id").execute(&pool).await.unwrap();
        })
        .await;
        // A connection that is at work outlives the server for a moment.
        let mut busy = JoinSet::new();
        busy.spawn(with_real_io({
            let pool = pool.clone();
            async move { sqlx::query("SELECT pg_sleep(60)").execute(&pool).await }
        }));
        with_real_io(in_the_end_real(async || {
            let at_work = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
            sqlx::query_scalar::<_, i64>(at_work).fetch_one(&pool).await.unwrap() == 1
        }))
        .await;
        server.kill().unwrap();
        busy.join_next().await.unwrap().unwrap().unwrap_err();
        with_real_io(sqlx::PgConnection::connect_with(&server.options())).await.unwrap_err();
        server.restart().await.unwrap();
        let orders: i32 =
            with_real_io(sqlx::query_scalar("SELECT id FROM orders").fetch_one(&pool)).await.unwrap();
        assert_eq!(orders, 7);
        pool.close().await;
    });
}
