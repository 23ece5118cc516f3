use super::{PATIENCE, ms, postgres, runtime, settings, several_threads, sqlite};
use resources::database::{MigrateError, close, migrate};
use sqlx::{
    Executor as _, PgPool, SqlSafeStr as _, SqlitePool,
    migrate::{Migrate as _, Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};
use std::{path::Path, time::Duration};
use testing::{Database, database::or_skip, every_await};
use tokio::{task::JoinSet, time::sleep};

static EMBEDDED: Migrator = sqlx::migrate!();

fn migrator(steps: &[(i64, &'static str)]) -> Migrator {
    let step = |(version, sql): &(i64, &'static str)| {
        Migration::new(*version, "a step".into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.iter().map(step).collect())
}

const ORDERS: (i64, &str) = (1, "CREATE TABLE orders (id BIGINT PRIMARY KEY)");
const FIRST: (i64, &str) = (2, "INSERT INTO orders VALUES (1)");
const FAILS: (i64, &str) = (3, "INSERT INTO nowhere VALUES (1)");

async fn orders<'p, E: sqlx::Executor<'p>>(pool: E) -> i64
where
    for<'a> i64: sqlx::Decode<'a, E::Database> + sqlx::Type<E::Database>,
    usize: sqlx::ColumnIndex<<E::Database as sqlx::Database>::Row>,
    <E::Database as sqlx::Database>::Arguments: sqlx::IntoArguments<E::Database>,
{
    sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(pool).await.unwrap_or(-1)
}

#[test]
fn what_is_embedded_is_what_is_in_the_folder() {
    runtime().block_on(async {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let there = Migrator::new(folder).await.unwrap();
        let all = |migrator: &Migrator| -> Vec<_> {
            migrator.iter().map(|step| (step.version, step.checksum.clone())).collect()
        };
        assert_eq!(
            all(&EMBEDDED),
            all(&there),
            "touch the file that has `sqlx::migrate!`: cargo does not see new files"
        );
    });
}

#[test]
fn the_same_migrations_run_on_both_databases_and_once() {
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        for _ in 0..2 {
            migrate(&pool, &EMBEDDED, PATIENCE).await.unwrap();
        }
        sqlx::query("INSERT INTO orders (id, customer, cents) VALUES (1, 'ada', 4500)")
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(orders(&pool).await, 1);
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool = postgres(&database, &settings(1));
        for _ in 0..2 {
            migrate(&pool, &EMBEDDED, PATIENCE).await.unwrap();
        }
        sqlx::query("INSERT INTO orders (id, customer, cents) VALUES (1, 'ada', 4500)")
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(orders(&pool).await, 1);
    });
}

#[test]
fn eight_that_begin_at_once_all_end_well_and_each_step_has_run_once() {
    several_threads().block_on(async {
        let steps = [ORDERS, (2, "INSERT INTO orders SELECT count(*) FROM orders")];
        for round in 0..6 {
            let file = Database::sqlite().await.unwrap();
            if round > 0 {
                // Its table is there: whoever only reads it first, and then writes, has read what is no longer true.
                let pool: SqlitePool = settings(1).pool((*file.pool().connect_options()).clone());
                migrate(&pool, &migrator(&[ORDERS]), PATIENCE).await.unwrap();
            }
            let mut processes = JoinSet::new();
            for _ in 0..8 {
                let pool: SqlitePool = settings(1).pool((*file.pool().connect_options()).clone());
                processes.spawn(async move { migrate(&pool, &migrator(&steps), PATIENCE).await });
            }
            while let Some(ended) = processes.join_next().await {
                ended.unwrap().unwrap();
            }
            assert_eq!(orders(file.pool()).await, 1);
        }
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut processes = JoinSet::new();
        for _ in 0..8 {
            let pool: PgPool = postgres(&database, &settings(1));
            processes.spawn(async move { migrate(&pool, &migrator(&steps), PATIENCE).await });
        }
        while let Some(ended) = processes.join_next().await {
            ended.unwrap().unwrap();
        }
        assert_eq!(orders(database.pool()).await, 1);
    });
}

#[test]
fn a_pool_whose_connections_are_held_is_waited_for_as_long_as_told_and_not_as_its_own_callers_wait() {
    runtime().block_on(async {
        let database = Database::sqlite().await.unwrap();
        let mut short = settings(1);
        short.acquire_within = ms(20);
        let pool: SqlitePool = short.pool((*database.pool().connect_options()).clone());
        // A busy machine may need longer than that to open the file.
        let held = loop {
            if let Ok(held) = pool.acquire().await {
                break held;
            }
        };
        let refused = migrate(&pool, &migrator(&[ORDERS]), ms(150)).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Busy { within } if within == ms(150)), "{refused:?}");
        let later = async {
            sleep(ms(100)).await;
            drop(held);
        };
        let steps = migrator(&[ORDERS]);
        let (migrated, ()) = tokio::join!(migrate(&pool, &steps, PATIENCE), later);
        migrated.unwrap();
        assert_eq!(orders(&pool).await, 0);
    });
}

/// What each mistake is called, and that the database is as it was before.
macro_rules! refusals {
    ($pool:expr) => {{
        let pool = $pool;
        migrate(pool, &migrator(&[ORDERS, FIRST]), PATIENCE).await.unwrap();
        let refused = migrate(pool, &migrator(&[ORDERS]), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Newer { version: 2, known: 1 }), "{refused}");
        let refused = migrate(pool, &migrator(&[FIRST, (7, "")]), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Missing { version: 1 }), "{refused}");
        let changed = (2, "INSERT INTO orders VALUES (2)");
        let refused = migrate(pool, &migrator(&[ORDERS, changed]), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Changed { version: 2 }), "{refused}");
        let refused = migrate(pool, &migrator(&[ORDERS, FIRST, FAILS]), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Failed { version: 3, .. }), "{refused}");
        assert_eq!(orders(pool).await, 1);
        // Nothing is left locked, and nothing half done.
        let right = (3, "INSERT INTO orders VALUES (3)");
        migrate(pool, &migrator(&[ORDERS, FIRST, right]), PATIENCE).await.unwrap();
        assert_eq!(orders(pool).await, 2);
    }};
}

#[test]
fn a_database_that_is_newer_or_was_changed_and_a_step_that_fails_are_refused_by_name() {
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        refusals!(&pool);
        let Some(database) = or_skip(Database::postgres().await) else { return };
        refusals!(&postgres(&database, &settings(2)));
    });
}

#[test]
fn an_error_keeps_no_lock_which_sqlx_alone_leaves_with_the_connection() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let locks = async || -> i64 {
            let query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
        };
        let (all, old) = (migrator(&[ORDERS, FIRST]), migrator(&[ORDERS]));
        let pool = postgres(&database, &settings(1));
        migrate(&pool, &all, PATIENCE).await.unwrap();
        assert!(migrate(&pool, &old, PATIENCE).await.is_err());
        super::in_the_end(async || locks().await == 0, "the lock is kept").await;
        // If this fails, sqlx gives it back by now.
        let plain = database.pool_with(sqlx::pool::PoolOptions::new().max_connections(1));
        assert!(old.run(&plain).await.is_err());
        assert_eq!(locks().await, 1);
        // And whoever comes next is told that it waits.
        let refused = migrate(&pool, &all, ms(100)).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Busy { .. }), "{refused}");
        drop(close(&plain, PATIENCE).await);
        migrate(&pool, &all, PATIENCE).await.unwrap();
    });
}

#[test]
fn a_lock_that_somebody_else_has_is_waited_for_no_longer_than_the_limit() {
    runtime().block_on(async {
        let file = Database::sqlite().await.unwrap();
        let mut patient = settings(1);
        patient.busy_within = ms(10);
        let pool: SqlitePool = patient.pool((*file.pool().connect_options()).clone());
        let mut other = file.pool().acquire().await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let refused = migrate(&pool, &migrator(&[ORDERS]), ms(200)).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Busy { within } if within == ms(200)), "{refused}");
        other.execute("ROLLBACK").await.unwrap();
        migrate(&pool, &migrator(&[ORDERS]), PATIENCE).await.unwrap();

        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool = postgres(&database, &settings(1));
        let mut other = database.pool().acquire().await.unwrap();
        other.lock().await.unwrap();
        let refused = migrate(&pool, &migrator(&[ORDERS]), ms(200)).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Busy { .. }), "{refused}");
        other.unlock().await.unwrap();
        migrate(&pool, &migrator(&[ORDERS]), PATIENCE).await.unwrap();
    });
}

#[test]
fn who_waits_for_its_turn_does_not_stand_in_the_way_of_an_index_that_is_made_concurrently() {
    several_threads().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let step = |version, sql: &'static str, no_tx| {
            Migration::new(version, "a step".into(), MigrationType::Simple, sql.into_sql_str(), no_tx)
        };
        let mut processes = JoinSet::new();
        for _ in 0..2 {
            let pool = postgres(&database, &settings(1));
            processes.spawn(async move {
                let steps = vec![
                    step(1, ORDERS.1, false),
                    // Long enough for the other to have come, and to wait.
                    step(2, "SELECT pg_sleep(0.5)", false),
                    step(3, "CREATE INDEX CONCURRENTLY of_orders ON orders (id)", true),
                ];
                migrate(&pool, &Migrator::with_migrations(steps), PATIENCE).await
            });
        }
        while let Some(ended) = processes.join_next().await {
            ended.unwrap().unwrap();
        }
        let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'of_orders'::regclass";
        assert!(sqlx::query_scalar::<_, bool>(valid).fetch_one(database.pool()).await.unwrap());
    });
}

#[test]
fn a_lock_that_is_switched_off_is_not_taken() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut other = database.pool().acquire().await.unwrap();
        other.lock().await.unwrap();
        let mut unlocked = migrator(&[ORDERS]);
        unlocked.set_locking(false);
        migrate(&postgres(&database, &settings(1)), &unlocked, PATIENCE).await.unwrap();
    });
}

#[test]
fn limits_in_time_of_any_length_are_limits() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let pool = postgres(&database, &settings(1));
        for within in [Duration::from_secs(30 * 86_400), Duration::MAX] {
            migrate(&pool, &migrator(&[ORDERS]), within).await.unwrap();
        }
    });
}

#[test]
fn a_migration_may_take_longer_than_a_statement() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let mut settings = settings(1);
        settings.statement_within = ms(20);
        let pool = postgres(&database, &settings);
        migrate(&pool, &migrator(&[ORDERS, (2, "SELECT pg_sleep(0.1)")]), PATIENCE).await.unwrap();
        assert_eq!(orders(&pool).await, 0);
    });
}

#[test]
fn dropped_at_any_await_a_migration_leaves_no_lock_and_no_half_step() {
    let steps = [ORDERS, FIRST];
    let awaits = every_await::with_io(
        async || sqlite(1).await,
        |(_, pool)| {
            let pool = pool.clone();
            async move { migrate(&pool, &migrator(&steps), PATIENCE).await }
        },
        async |(_database, pool)| {
            let ended = migrate(&pool, &migrator(&steps), PATIENCE).await;
            ended.map_err(|error| error.to_string())?;
            match orders(&pool).await {
                1 => Ok(()),
                n => Err(format!("{n} orders")),
            }
        },
    );
    assert!(awaits.unwrap() >= 3);
    // One database for all: what costs the time is making them.
    let kept = runtime();
    let Some(database) = kept.block_on(async { or_skip(Database::postgres().await) }) else { return };
    let awaits = every_await::with_io(
        async || {
            let pool = postgres(&database, &settings(1));
            pool.execute("DROP TABLE IF EXISTS orders, _sqlx_migrations").await.unwrap();
            pool
        },
        |pool| {
            let pool = pool.clone();
            async move { migrate(&pool, &migrator(&steps), PATIENCE).await }
        },
        async |pool| {
            let ended = migrate(&pool, &migrator(&steps), PATIENCE).await;
            ended.map_err(|error| error.to_string())?;
            let seen = orders(&pool).await;
            drop(close(&pool, PATIENCE).await);
            if seen == 1 { Ok(()) } else { Err(format!("{seen} orders")) }
        },
    );
    // Some thirty; those that the server has answered before the next poll are not seen.
    assert!(awaits.unwrap() >= 3);
}

#[test]
fn a_migration_can_be_spawned() {
    runtime().block_on(async {
        let mut settings = settings(1);
        (settings.lifetime, settings.idle_for) = (None, None);
        let pool: SqlitePool = settings.pool(SqliteConnectOptions::new().in_memory(true));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            migrate(&pool, &EMBEDDED, PATIENCE).await.unwrap();
            orders(&pool).await
        });
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), 0);
    });
}
