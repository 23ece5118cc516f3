//! A database per test, empty or migrated, and gone afterwards (feature `database`).
//!
//! | | is | needs | parallel writers |
//! |---|---|---|---|
//! | [`Database::sqlite_in_memory`] | SQLite in this process's memory | nothing | no: they wait for each other |
//! | [`Database::sqlite`] | a file of its own, with a write-ahead log | nothing | no, but readers don't wait |
//! | [`Database::postgres`] | a database of its own on a server that the tests of a process share | PostgreSQL 13 or newer | yes |
//!
//! A test that kills the server takes [`PostgresServer`], a server of its own (on Unix).
//!
//! **On a paused clock** put what talks to the database into [`with_real_io`]: neither a socket nor
//! SQLite's thread keeps the clock from jumping, and `acquire_timeout` is a timeout like any other (`PoolTimedOut`).
//! Creating the database does so itself.
//!
//! **Cleaning up** can't be awaited in a destructor. Dropping a [`Database`], at the end of a test, by a panic or because
//! the test was cancelled, closes its pools to all who still hold one and takes the database away from under their
//! connections: SQLite's folder is removed; PostgreSQL's database is dropped by a thread of the kit with a connection of
//! its own (`DROP DATABASE ... WITH (FORCE)`).
//! A server that the kit has started ends with the process, also with one that is killed, and its folder with it.

#[cfg(unix)]
mod own_server;
mod postgres;
#[cfg(unix)]
mod server;
mod sqlite;

#[cfg(unix)]
pub use own_server::PostgresServer;

use crate::with_real_io;
use sqlx::{Pool, Postgres, Sqlite, migrate::Migrator, pool::PoolOptions};
use std::{
    fmt,
    future::IntoFuture,
    io::Write as _,
    marker::PhantomData,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a pool of the kit waits for a connection before it says `PoolTimedOut`; sqlx's own default is half a minute.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The environment variable that turns a test that [`or_skip`] would skip into one that fails, if it is `1`.
pub const REQUIRE: &str = "REQUIRE_POSTGRES";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No PostgreSQL is installed, and none was named; install one, or skip the test ([`or_skip`]).
    #[error(
        "no PostgreSQL: {why}. Install it (Debian: `apt-get install postgresql`, macOS: `brew install postgresql`), or \
         set DATABASE_URL=postgres://USER:PASSWORD@HOST/DATABASE to a server on which that user may create databases"
    )]
    Unavailable {
        /// What was looked for, and where.
        why: String,
    },
    /// The PostgreSQL that is installed does not start.
    #[error("PostgreSQL does not start: {why}")]
    Start {
        /// What it said.
        why: String,
    },
    /// The server that `DATABASE_URL` names can't be used.
    #[error("DATABASE_URL is set, but that server can't be used (unset it to have one started): {0}")]
    Server(#[source] sqlx::Error),
    /// The database can't be created or opened.
    #[error("the test's database can't be opened: {0}")]
    Open(#[from] sqlx::Error),
    /// A migration failed.
    #[error("the migrations don't run: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The folder for the database can't be created.
    #[error("no folder for the database can be created in {}: {error}", parent.display())]
    Folder {
        /// Where.
        parent: std::path::PathBuf,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
}

/// A database that belongs to one test, and is gone when this is dropped.
///
/// # Examples
/// ```
/// use testing::Database;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = Database::sqlite_in_memory().await?;
/// sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY)").execute(database.pool()).await?;
/// let done = sqlx::query("INSERT INTO orders VALUES (7)").execute(database.pool()).await?;
/// assert_eq!(done.rows_affected(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it removes the database"]
pub struct Database<D: sqlx::Database> {
    pool: Pool<D>,
    others: Mutex<Vec<Pool<D>>>,
    url: String,
    /// Last: it goes when the pools are closed.
    _home: Home,
}

/// What the database lives in, and goes with.
enum Home {
    Folder { _folder: sqlite::Folder },
    Memory { _anchor: Mutex<sqlx::SqliteConnection> },
    Server { _lease: postgres::Lease },
}

impl Database<Sqlite> {
    /// SQLite in a file in a temporary folder of its own, with a write-ahead log, as a server would have it.
    ///
    /// The folder stays behind if the process is killed.
    pub const fn sqlite() -> Setup<'static, Sqlite> {
        Setup::new(Kind::File)
    }

    /// SQLite in memory: the fastest, and what a test takes that isn't about files, locks or servers.
    ///
    /// Every connection of this process that opens the [`url`](Self::url) sees the same database. A reader waits while
    /// somebody writes; [`sqlite`](Self::sqlite) has a write-ahead log, and lets it read.
    pub const fn sqlite_in_memory() -> Setup<'static, Sqlite> {
        Setup::new(Kind::Memory)
    }
}

impl Database<Postgres> {
    /// A database of its own on the server that `DATABASE_URL` names, or else on one that the kit starts.
    ///
    /// Its own server is started once in a process: `initdb` and `postgres` from the folder in `POSTGRES_BIN`, from
    /// `PATH`, or from Debian's `/usr/lib/postgresql` (the newest), as user `postgres` or `nobody` if we are root. It
    /// listens on a socket in a temporary folder only, so there is no port that could be taken. To be quick, it doesn't care
    /// for crashes (`fsync=off`), and lives in `/dev/shm` if there is a gigabyte of room and `TMPDIR` isn't set: 50 MB, and
    /// 8 MB for each database. Starting it takes about a second, a database some 30 ms. It ends with the process.
    ///
    /// On the server of `DATABASE_URL` (ignored if it names no PostgreSQL), databases that a killed process has left
    /// are dropped by the next that comes.
    pub const fn postgres() -> Setup<'static, Postgres> {
        Setup::new(Kind::Server)
    }
}

impl<D: sqlx::Database> Database<D> {
    /// The pool; clones of it are closed when the database goes.
    pub const fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    /// Where the database is, for sqlx and for programs that are started with a `DATABASE_URL`. It may hold a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One more pool, with options of its own; connections are opened when they are asked for.
    ///
    /// For tests about pools: one connection, or a short `acquire_timeout`.
    ///
    /// # Panics
    /// If called outside of a tokio runtime.
    pub fn pool_with(&self, options: PoolOptions<D>) -> Pool<D> {
        let pool = options.connect_lazy_with((*self.pool.connect_options()).clone());
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
        pool
    }
}

impl<D: sqlx::Database> fmt::Debug for Database<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: there may be a password in it.
        write!(f, "Database<{}>({} connections)", D::NAME, self.pool.size())
    }
}

impl<D: sqlx::Database> Drop for Database<D> {
    fn drop(&mut self) {
        let others = std::mem::take(self.others.get_mut().unwrap_or_else(PoisonError::into_inner));
        for pool in others.into_iter().chain([self.pool.clone()]) {
            // The call closes the pool to everybody; only the farewell to each connection would have to be awaited, and
            // the connections may be in tasks of a runtime that this very thread keeps from running.
            drop(pool.close());
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    File,
    Memory,
    Server,
}

/// A database to be: what is to be in it. Awaited, it is created.
#[derive(Debug)]
#[must_use = "awaited, it gives the database"]
pub struct Setup<'m, D> {
    kind: Kind,
    migrations: Option<&'m Migrator>,
    connections: u32,
    database: PhantomData<fn() -> D>,
}

impl<D> Setup<'static, D> {
    const fn new(kind: Kind) -> Self {
        Self { kind, migrations: None, connections: 5, database: PhantomData }
    }
}

impl<D> Setup<'_, D> {
    /// Runs these migrations in it.
    ///
    /// `Migrator::new(folder)` reads a folder of `.sql` files. In PostgreSQL they run once in a process for each set of
    /// migrations, and the databases are copies of the one in which they ran.
    pub const fn migrate(self, migrations: &Migrator) -> Setup<'_, D> {
        Setup {
            kind: self.kind,
            migrations: Some(migrations),
            connections: self.connections,
            database: PhantomData,
        }
    }

    /// How many connections the pool may open; 5 if nothing is said.
    pub const fn connections(mut self, at_most: u32) -> Self {
        self.connections = at_most;
        self
    }

    fn pool_options<E: sqlx::Database>(&self) -> PoolOptions<E> {
        // A test is over before a connection is old: nothing is closed or replaced behind its back.
        PoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
    }
}

/// The database, once it is there. Dropped, it leaves nothing behind.
type Opening<'m, D> = Pin<Box<dyn Future<Output = Result<Database<D>, Error>> + Send + 'm>>;

impl<'m> IntoFuture for Setup<'m, Sqlite> {
    type Output = Result<Database<Sqlite>, Error>;
    type IntoFuture = Opening<'m, Sqlite>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(with_real_io(sqlite::open(self)))
    }
}

impl<'m> IntoFuture for Setup<'m, Postgres> {
    type Output = Result<Database<Postgres>, Error>;
    type IntoFuture = Opening<'m, Postgres>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(with_real_io(postgres::open(self)))
    }
}

/// The database, or nothing if there is no PostgreSQL on this machine: then the test is told on the terminal as skipped.
///
/// A test that is skipped silently is one that nobody misses. This writes past the capturing of the test runner, and in CI,
/// where [`REQUIRE`]`=1` is set, it fails instead.
///
/// # Panics
/// If the database can't be had for another reason than [`Error::Unavailable`], and for that one, too, where [`REQUIRE`] is
/// set to `1`.
///
/// # Examples
/// ```
/// use testing::{Database, database::or_skip};
///
/// # #[tokio::main(flavor = "current_thread")]
/// async fn main() -> sqlx::Result<()> { // a test
///     let Some(database) = or_skip(Database::postgres().await) else { return Ok(()) };
///     let two: i32 = sqlx::query_scalar("SELECT 1 + 1").fetch_one(database.pool()).await?;
///     assert_eq!(two, 2);
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn or_skip<T>(database: Result<T, Error>) -> Option<T> {
    let error = match database {
        Ok(database) => return Some(database),
        Err(error) => error,
    };
    let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
    if required || !matches!(error, Error::Unavailable { .. }) {
        panic!("{error}{}", if required { format!(" ({REQUIRE}=1: not skipped)") } else { String::new() });
    }
    let here = std::panic::Location::caller();
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // Not `eprintln!`: the test runner keeps what that prints to itself if the test passes.
    let told = writeln!(std::io::stderr(), "SKIPPED {test} ({}:{}): {error}", here.file(), here.line());
    drop(told);
    None
}
