//! Migrations that many processes may begin at once.

use super::{
    Dialect,
    settings::{sealed, server_millis},
};
use sqlx::{
    ConnectOptions as _, Connection, PgConnection, Pool, Postgres, Sqlite,
    migrate::{MigrateError as Refused, Migrator},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Why the database is not as the program needs it. None is worth a blind second attempt but [`Busy`](Self::Busy).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// Others migrate, or keep the tables locked. Try again, or look who.
    #[error("the database could not be locked, or was not migrated, within {within:?}")]
    Busy {
        /// How long was waited.
        within: Duration,
    },
    /// The database is newer than the program: an old one was started. Deploy the newer one.
    #[error(
        "the database has migration {version}, and this program knows none after {known}: it is too old for it"
    )]
    Newer {
        /// What the database has.
        version: i64,
        /// The last that the program has.
        known: i64,
    },
    /// A migration that ran is not in the program any more. Put the file back.
    #[error("migration {version} has run, and is not in this program any more")]
    Missing {
        /// Which.
        version: i64,
    },
    /// A file was changed after it ran. Put it back, and write what is to change into a new one.
    #[error("migration {version} has run, and was changed afterwards (line ends count)")]
    Changed {
        /// Which.
        version: i64,
    },
    /// A migration failed; it and those after it have not run.
    #[error("migration {version} failed: {error}")]
    Failed {
        /// Which.
        version: i64,
        /// What the database says.
        #[source]
        error: sqlx::Error,
    },
    /// The database can't be asked.
    #[error("the database can't be migrated: {0}")]
    Database(#[source] sqlx::Error),
    /// Something else that sqlx has to say.
    #[error(transparent)]
    Other(Refused),
}

/// Brings the database to what the program was built with, or says why it can't be.
///
/// Run it at start, before the first request. The migrations of a program stand in a folder and are embedded with
/// `sqlx::migrate!()`.
///
/// # Shape
/// Processes that begin at once do so one after the other, and the last finds nothing left to do. PostgreSQL: on a connection
/// of its own, which keeps the lock no longer than it lives, and without a statement timeout; each migration is a
/// transaction, but for one that begins with `-- no-transaction`, as `CREATE INDEX CONCURRENTLY` needs it. SQLite: on a connection of the pool, all migrations in one transaction, so that one with `-- no-transaction`
/// does not run.
///
/// # Errors
/// [`MigrateError`].
///
/// # Cancel safety
/// The migration that was under way is rolled back, as its connection is cut off; those before it have run. On PostgreSQL
/// that is when the server has finished the statement, which no timeout ends: until then it keeps its locks, and whoever
/// migrates next waits. What a migration without a transaction has done stays, and is not noted as done: an index that was
/// being made `CONCURRENTLY` is there, and perhaps not valid, and has to be dropped before the next attempt.
///
/// # Source
/// `Migrator::run` of sqlx, with what it lacks: a lock on SQLite; and on PostgreSQL one that does not stay with a pooled
/// connection after an error, where it keeps the next process waiting for ever.
///
/// # Examples
/// ```
/// use resources::database::{PoolSettings, migrate};
/// use sqlx::{migrate::Migrator, sqlite::SqliteConnectOptions};
/// use std::{num::NonZeroU32, time::Duration};
///
/// static MIGRATIONS: Migrator = sqlx::migrate!();
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let settings = PoolSettings::new(NonZeroU32::new(1).unwrap());
/// let pool = settings.pool(SqliteConnectOptions::new().in_memory(true));
/// migrate(&pool, &MIGRATIONS, Duration::from_secs(60)).await?;
/// migrate(&pool, &MIGRATIONS, Duration::from_secs(60)).await?; // nothing left to do
/// # Ok::<(), resources::database::MigrateError>(())
/// # }).unwrap();
/// ```
pub async fn migrate<DB>(pool: &Pool<DB>, migrations: &Migrator, within: Duration) -> Result<(), MigrateError>
where
    DB: sqlx::Database,
    <DB::Connection as Connection>::Options: Dialect + sealed::Dialect<Database = DB>,
{
    use sealed::Dialect as _;
    let migrated = <DB::Connection as Connection>::Options::migrate(pool, migrations, within);
    timeout(within, migrated).await.unwrap_or(Err(MigrateError::Busy { within }))
}

pub(super) async fn postgres(
    pool: &Pool<Postgres>,
    migrations: &Migrator,
    within: Duration,
) -> Result<(), MigrateError> {
    // ANCHOR: postgres
    // The lock belongs to the session. In the pool's hands it would outlive an error, and a caller that is dropped.
    let options = (*pool.connect_options()).clone();
    let options = options.options([
        // A migration takes as long as it takes; it is the lock that nobody waits for without a limit, nor the server.
        ("statement_timeout", 0),
        ("lock_timeout", server_millis(within)),
    ]);
    let mut connection = options.connect().await.map_err(MigrateError::Database)?;
    // Not sqlx's wait for the lock: a statement that waits has a snapshot, and `CREATE INDEX CONCURRENTLY` of whoever has
    // the lock waits for that. Asked now and then, nothing is kept in between.
    while migrations.locking && !try_lock(&mut connection).await.map_err(MigrateError::Database)? {
        sleep(Duration::from_millis(50)).await;
    }
    let ended = without_lock(migrations).run_direct(None, &mut connection, false).await;
    // ANCHOR_END: postgres
    // What there is to say was said: a goodbye that fails changes nothing.
    connection.close().await.ok();
    ended.map_err(|refused| why(refused, migrations, within))
}

/// Takes the lock of sqlx, if it is free: programs that migrate with sqlx alone are kept out, and keep out.
async fn try_lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *connection).await?;
    let number = 0x3d32_ad9e * i64::from(crc32(name.as_bytes()));
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(number).fetch_one(connection).await
}

/// The checksum of Ethernet and zip. A name is short, so bit by bit will do.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// The same migrations, which take no lock.
fn without_lock(migrations: &Migrator) -> Migrator {
    let Migrator { migrations, ignore_missing, locking: _, no_tx, table_name, create_schemas } = migrations;
    Migrator {
        migrations: migrations.clone(),
        ignore_missing: *ignore_missing,
        locking: false,
        no_tx: *no_tx,
        table_name: table_name.clone(),
        create_schemas: create_schemas.clone(),
    }
}

pub(super) async fn sqlite(
    pool: &Pool<Sqlite>,
    migrations: &Migrator,
    within: Duration,
) -> Result<(), MigrateError> {
    // The pool's: a database in memory is seen through its own connection only.
    let start = Instant::now();
    let mut connection = loop {
        match pool.acquire().await {
            // How long the pool lets others wait is not how long this may take: whoever has them may give one back.
            Err(sqlx::Error::PoolTimedOut) if start.elapsed() < within => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(sqlx::Error::PoolTimedOut) => return Err(MigrateError::Busy { within }),
            acquired => break acquired.map_err(MigrateError::Database)?,
        }
    };
    // sqlx has no lock for SQLite: two that begin at once would both find nothing there.
    let mut transaction = loop {
        match connection.begin_with("BEGIN IMMEDIATE").await {
            Err(error) if busy(&error) && start.elapsed() < within => sleep(Duration::from_millis(50)).await,
            begun => break begun.map_err(|error| why(error.into(), migrations, within))?,
        }
    };
    let ended = migrations.run_direct(None, &mut *transaction, false).await;
    let ended = match ended {
        Ok(()) => transaction.commit().await.map_err(Refused::from),
        Err(error) => {
            // If it fails, the connection does not go back with it: the pool's own check ends it.
            transaction.rollback().await.ok();
            Err(error)
        }
    };
    ended.map_err(|refused| why(refused, migrations, within))
}

/// `SQLITE_BUSY` with its extended codes, or PostgreSQL's `lock_not_available`.
fn busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    code.is_some_and(|code| matches!(code.as_str(), "5" | "261" | "517" | "55P03"))
}

fn why(refused: Refused, migrations: &Migrator, within: Duration) -> MigrateError {
    match refused {
        Refused::Execute(error) | Refused::ExecuteMigration(error, _) if busy(&error) => {
            MigrateError::Busy { within }
        }
        Refused::Execute(error) => MigrateError::Database(error),
        Refused::ExecuteMigration(error, version) => MigrateError::Failed { version, error },
        Refused::VersionMissing(version) => {
            let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
            if version > known {
                MigrateError::Newer { version, known }
            } else {
                MigrateError::Missing { version }
            }
        }
        Refused::VersionMismatch(version) => MigrateError::Changed { version },
        other => MigrateError::Other(other),
    }
}
