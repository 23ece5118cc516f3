use super::{
    PATIENCE, all_capacity, in_the_end, ms, postgres, runtime, sessions, settings, silent_server, sqlite,
};
use futures_util::TryStreamExt as _;
use resources::database::{acquire, close};
use sqlx::{
    AssertSqlSafe, Executor as _, PgPool, Postgres,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use testing::{Database, database::or_skip};
use tokio::{task::JoinSet, time::timeout};

async fn text(pool: &PgPool, query: &'static str) -> String {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[test]
fn the_settings_reach_the_pool_and_each_connection() {
    runtime().block_on(async {
        let folder = Database::sqlite().await.unwrap();
        let pool = settings(3).pool((*folder.pool().connect_options()).clone());
        let options = pool.options();
        assert_eq!(
            (options.get_max_connections(), options.get_acquire_timeout()),
            (3, Duration::from_secs(5))
        );
        assert_eq!(options.get_idle_timeout(), Some(Duration::from_secs(600)));
        assert_eq!(options.get_max_lifetime(), Some(Duration::from_secs(1800)));
        assert!(options.get_test_before_acquire());
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
        let mut pragmas = Vec::new();
        for pragma in ["PRAGMA synchronous", "PRAGMA busy_timeout", "PRAGMA foreign_keys"] {
            pragmas.push(sqlx::query_scalar::<_, i64>(pragma).fetch_one(&pool).await.unwrap());
        }
        assert_eq!((mode.as_str(), pragmas), ("wal", vec![1, 5000, 1]));

        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool = postgres(&database, &settings(1));
        assert_eq!(text(&pool, "SHOW statement_timeout").await, "30s");
        assert_eq!(text(&pool, "SHOW idle_in_transaction_session_timeout").await, "1min");
        assert_eq!(text(database.pool(), "SHOW statement_timeout").await, "0", "what sqlx sets");
    });
}

#[test]
fn limits_of_any_length_are_limits() {
    runtime().block_on(async {
        let database = or_skip(Database::postgres().await);
        for (limit, seen) in [(Duration::MAX, "2147483647ms"), (Duration::from_micros(900), "1ms")] {
            let mut settings = settings(1);
            (settings.statement_within, settings.idle_in_transaction_within) = (limit, limit);
            if limit == Duration::MAX {
                (settings.acquire_within, settings.release_within, settings.busy_within) =
                    (limit, limit, limit);
                (settings.lifetime, settings.idle_for) = (Some(limit), Some(limit));
            }
            let memory = settings.pool(SqliteConnectOptions::new().in_memory(true));
            drop(acquire(&memory, Duration::MAX).await.unwrap());
            drop(acquire(&memory, Duration::MAX).await.unwrap());
            assert_eq!(close(&memory, Duration::MAX).await.still_out, 0);
            let Some(database) = &database else { continue };
            let pool = postgres(database, &settings);
            for name in ["statement_timeout", "idle_in_transaction_session_timeout"] {
                // A busy server may not manage even this within a millisecond.
                let start = std::time::Instant::now();
                let set = loop {
                    let asked = sqlx::query_scalar("SELECT setting || unit FROM pg_settings WHERE name = $1");
                    match asked.bind(name).fetch_one(&pool).await {
                        Ok(set) => break set,
                        Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
                    }
                };
                let set: String = set;
                assert_eq!(set, seen);
            }
        }
    });
}

#[test]
fn a_statement_whose_caller_has_left_is_ended_by_the_server() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        const RUNS: &str = "state = 'active' AND query LIKE '%pg_sleep%'";
        let mut settings = settings(1);
        settings.statement_within = ms(300);
        let limited = postgres(&database, &settings);
        let plain = database.pool_with(sqlx::pool::PoolOptions::new());
        for (pool, ends) in [(limited, true), (plain, false)] {
            let sleep = pool.execute("SELECT pg_sleep(600)");
            let runs = in_the_end(async || sessions(database.pool(), RUNS).await == 1, "it does not begin");
            tokio::select! {
                slept = sleep => panic!("{slept:?}"),
                () = runs => {}
            }
            if ends {
                in_the_end(async || sessions(database.pool(), RUNS).await == 0, "it runs on").await;
                all_capacity(&pool).await.unwrap();
            } else {
                // Without the setting it runs on, as long as it has to: `setting` of its session says so.
                assert_eq!(text(database.pool(), "SHOW statement_timeout").await, "0");
                assert_eq!(sessions(database.pool(), RUNS).await, 1);
            }
        }
    });
}

/// Someone begins a transaction of which the pool knows nothing, and leaves.
async fn leave_open(pool: &sqlx::Pool<Postgres>, statement: &'static str) {
    let mut connection = pool.acquire().await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    connection.execute(statement).await.ok();
}

#[test]
fn a_transaction_that_somebody_has_left_open_is_rolled_back_before_the_next_borrower() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        database.pool().execute("CREATE TABLE orders (id BIGINT PRIMARY KEY)").await.unwrap();
        let pool = postgres(&database, &settings(1));
        let seen = async || -> i64 {
            sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(database.pool()).await.unwrap()
        };
        for statement in ["INSERT INTO orders VALUES (1)", "SELECT 1 / 0"] {
            leave_open(&pool, statement).await;
            pool.execute("INSERT INTO orders VALUES (7)").await.unwrap();
            assert_eq!(seen().await, 1, "what comes after {statement:?} is there, and nothing else");
            pool.execute("DELETE FROM orders").await.unwrap();
            in_the_end(async || pool.num_idle() == 1, "it is not back").await;
            assert_eq!(sessions(database.pool(), "state LIKE 'idle in transaction%'").await, 0);
        }
        let plain = database.pool_with(sqlx::pool::PoolOptions::new().max_connections(1));
        leave_open(&plain, "INSERT INTO orders VALUES (1)").await;
        plain.execute("INSERT INTO orders VALUES (7)").await.unwrap();
        assert_eq!(seen().await, 0, "sqlx alone: the insert said Ok, and nobody sees it");
    });
}

#[test]
fn the_same_on_sqlite() {
    runtime().block_on(async {
        let (database, pool) = sqlite(1).await;
        pool.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY)").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        connection.execute("INSERT INTO orders VALUES (1)").await.unwrap();
        drop(connection);
        pool.execute("INSERT INTO orders VALUES (7)").await.unwrap();
        let seen: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM orders").fetch_all(database.pool()).await.unwrap();
        assert_eq!(seen, [7]);
    });
}

#[test]
fn begins_that_are_cancelled_by_the_hundred_leave_no_transaction_open() {
    super::several_threads().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        database.pool().execute("CREATE TABLE orders (id BIGINT PRIMARY KEY)").await.unwrap();
        let pool = postgres(&database, &settings(4));
        all_capacity(&pool).await.unwrap();
        let mut callers = JoinSet::new();
        for seed in 0..600 {
            let pool = pool.clone();
            callers.spawn(async move {
                let after = Duration::from_micros(fastrand::Rng::with_seed(seed).u64(0..900));
                timeout(after, pool.begin()).await.is_err()
            });
        }
        let mut cancelled = 0;
        while let Some(caller) = callers.join_next().await {
            cancelled += usize::from(caller.unwrap());
        }
        assert!(cancelled > 50, "{cancelled}");
        for id in 0..20 {
            sqlx::query("INSERT INTO orders VALUES ($1)").bind(id).execute(&pool).await.unwrap();
        }
        in_the_end(async || sessions(database.pool(), "state LIKE 'idle in trans%'").await == 0, "left open")
            .await;
        let seen: i64 =
            sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(database.pool()).await.unwrap();
        assert_eq!(seen, 20);
    });
}

#[test]
fn rows_that_nobody_reads_cost_the_pool_no_more_than_the_time_to_give_back_and_nothing_if_discarded() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut settings = settings(1);
        settings.release_within = ms(100);
        let pool = postgres(&database, &settings);
        let pid =
            async || -> i32 { sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap() };
        for discard in [false, true] {
            let before = pid().await;
            let mut lease = acquire(&pool, PATIENCE).await.unwrap();
            {
                // More than anybody could read in the time that a test has.
                let mut rows = sqlx::query("SELECT generate_series(1, 10000000000)").fetch(&mut *lease);
                for _ in 0..10 {
                    assert!(rows.try_next().await.unwrap().is_some());
                }
            }
            if discard {
                lease.discard();
            } else {
                drop(lease);
            }
            assert_ne!(pid().await, before);
            const RUNS: &str = "query LIKE '%generate_series%' AND state = 'active'";
            in_the_end(async || sessions(database.pool(), RUNS).await == 0, "the server goes on").await;
        }
    });
}

#[test]
fn a_connection_whose_server_has_gone_silent_costs_no_place_for_ever() {
    runtime().block_on(async {
        let (options, _served) = silent_server().await;
        let mut settings = settings(1);
        settings.release_within = ms(50);
        let pool = settings.pool(options.clone());
        for _ in 0..3 {
            drop(acquire(&pool, PATIENCE).await.unwrap());
        }
        // sqlx 0.9 alone: its issue 4349. If this fails, `after_release` needs no bound any more.
        let plain = sqlx::postgres::PgPoolOptions::new().max_connections(1).acquire_timeout(ms(200));
        let plain = plain.connect_lazy_with(options);
        drop(plain.acquire().await.unwrap());
        assert!(matches!(plain.acquire().await, Err(sqlx::Error::PoolTimedOut)));
    });
}

#[test]
fn after_every_session_was_ended_by_the_server_no_query_fails_that_comes_later() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool = postgres(&database, &settings(4));
        all_capacity(&pool).await.unwrap();
        in_the_end(async || pool.num_idle() == 4, "they are not back").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert_eq!(database.pool().execute(end).await.unwrap().rows_affected(), 4);
        let mut queries = JoinSet::new();
        for _ in 0..40 {
            let pool = pool.clone();
            queries.spawn(async move { pool.execute("SELECT 1").await.map(drop) });
        }
        while let Some(ended) = queries.join_next().await {
            ended.unwrap().unwrap();
        }
        assert_eq!(pool.size(), 4);
    });
}

/// In a process of its own: killing a session with -9 has the server end all others, of whichever test.
#[test]
#[cfg(unix)]
fn after_a_session_was_killed_under_load_queries_succeed_again_and_no_connection_is_left_over() {
    let program = std::env::current_exe().unwrap();
    let test = "database::settings::killed_under_load";
    let run = std::process::Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        // A server of its own, whatever the others use.
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{test} is not there");
}

#[test]
#[ignore = "it kills its server: run by the test above, in a process of its own"]
#[cfg(unix)]
fn killed_under_load() {
    super::several_threads().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut settings = settings(4);
        settings.acquire_within = PATIENCE;
        let pool = postgres(&database, &settings);
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
        let mut load = JoinSet::new();
        let killed = Arc::new(AtomicBool::new(false));
        for _ in 0..20 {
            let (pool, killed) = (pool.clone(), killed.clone());
            load.spawn(async move {
                // Until it has worked for a while after that. Who only finds it out from an idle connection sees no failure.
                let (mut failed, mut after) = (0, 0);
                while after < 20 {
                    match pool.execute("SELECT pg_sleep(0.001)").await {
                        Ok(_) => after += u32::from(killed.load(SeqCst)),
                        Err(error) => {
                            failed += 1;
                            assert!(failed <= 5, "{error}");
                        }
                    }
                }
            });
        }
        in_the_end(async || sessions(&pool, "true").await >= 2, "no load").await;
        let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(status.success());
        killed.store(true, SeqCst);
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        all_capacity(&pool).await.unwrap();
        assert_eq!(pool.size(), 4);
        let mut look = sqlx::postgres::PgPoolOptions::new();
        look = look.max_connections(1);
        let look = database.pool_with(look);
        in_the_end(async || sessions(&look, "state IS NOT NULL").await == 4, "connections are left over")
            .await;
        assert_eq!(close(&pool, PATIENCE).await.still_out, 0);
        in_the_end(async || sessions(&look, "state IS NOT NULL").await == 0, "connections are left over")
            .await;
    });
}

#[test]
fn a_pool_in_memory_keeps_its_database_if_it_is_told_to() {
    runtime().block_on(async {
        let mut settings = settings(1);
        (settings.lifetime, settings.idle_for) = (None, None);
        let pool: sqlx::SqlitePool = settings.pool(SqliteConnectOptions::new().in_memory(true));
        pool.execute(AssertSqlSafe("CREATE TABLE orders (id BIGINT)")).await.unwrap();
        assert_eq!(pool.options().get_max_lifetime(), None);
        pool.execute("INSERT INTO orders VALUES (1)").await.unwrap();
        // More is set on the half that sqlx knows.
        let options: SqlitePoolOptions = settings.pool_options::<SqliteConnectOptions>().min_connections(1);
        assert_eq!(options.get_min_connections(), 1);
    });
}
