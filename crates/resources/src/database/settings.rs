//! Settings of a pool for a service.

use super::{
    LONGEST, MigrateError, identity, migrate,
    notes::{self, Traffic},
};
use futures_util::future::BoxFuture;
use sqlx::{
    Connection, Executor as _, PgConnection, Pool, Postgres, Sqlite, SqliteConnection,
    migrate::Migrator,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::time::timeout;

/// What a service sets on its pool; where sqlx has another default, or none, the field says why.
///
/// Take [`pool`](Self::pool), or the two halves of it where more is to be set.
///
/// # Source
/// `PoolOptions` of sqlx; `statement_timeout` and `idle_in_transaction_session_timeout` of PostgreSQL.
///
/// # Examples
/// ```
/// use resources::PoolSettings;
/// use sqlx::postgres::PgConnectOptions;
/// use std::num::NonZeroU32;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // A constant that is not zero, and a mistake in it is one at compile time.
/// const CONNECTIONS: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// let options: PgConnectOptions = "postgres://shop@localhost/shop".parse()?;
/// let pool = PoolSettings::new(CONNECTIONS).pool(options);
/// assert_eq!(pool.options().get_max_connections(), 10);
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PoolSettings {
    /// The most connections. All processes together must stay below the server's `max_connections`; more of them than it
    /// has cores and disks for make each one slower.
    pub connections: NonZeroU32,
    /// How long anybody waits for one; 5 s. sqlx waits for 30 s, longer than most who have asked: a pool that has run dry
    /// then shows up as a hundred clients that have left.
    pub acquire_within: Duration,
    /// How long a statement may run on PostgreSQL; 30 s. A future that is dropped does not stop it: only the server can. No
    /// limit in sqlx. SQLite has none.
    pub statement_within: Duration,
    /// How long a transaction may wait for its next statement on PostgreSQL before its session is ended; 60 s. Its locks
    /// keep others waiting. No limit in sqlx. SQLite has none.
    pub idle_in_transaction_within: Duration,
    /// How long giving a connection back may take; 5 s. It is then closed. What it has to do first: read what a dropped
    /// stream has left, and roll back. sqlx has no limit: a peer that has gone silent costs the pool a place for ever (sqlx
    /// issue 4349), and a half-read stream keeps it for as long as there are rows.
    pub release_within: Duration,
    /// How long SQLite waits for another connection's lock; 5 s.
    pub busy_within: Duration,
    /// How old a connection gets; 30 min, so that what a server keeps for a session, and a change of address, get through.
    /// `None` for SQLite in memory, which goes with its last connection.
    pub lifetime: Option<Duration>,
    /// How long one may be idle; 10 min. `None` for SQLite in memory.
    pub idle_for: Option<Duration>,
}

impl PoolSettings {
    /// As the fields say, with at most so many connections.
    #[must_use]
    pub const fn new(connections: NonZeroU32) -> Self {
        Self {
            connections,
            acquire_within: Duration::from_secs(5),
            statement_within: Duration::from_secs(30),
            idle_in_transaction_within: Duration::from_secs(60),
            release_within: Duration::from_secs(5),
            busy_within: Duration::from_secs(5),
            lifetime: Some(Duration::from_secs(30 * 60)),
            idle_for: Some(Duration::from_secs(10 * 60)),
        }
    }

    /// A pool with these settings, which counts what comes back, so that [`acquire()`](super::acquire()) can tell a leak from
    /// too many callers. It opens a connection when one is asked for, so a server that is down is no error yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn pool<D: Dialect>(&self, options: D) -> Pool<D::Database> {
        let traffic = Arc::<Traffic>::default();
        let pool = self.counted::<D>(traffic.clone()).connect_lazy_with(options.tuned(self));
        notes::counts(identity(&pool), &traffic);
        pool
    }

    /// The settings of the pool: limits, a check of each connection before it is given out, and a rollback after.
    ///
    /// The rollback is for whom `pool.begin()` has left an open transaction: sqlx 0.9 does, where it is dropped between the
    /// server's answer and the next poll (sqlx issue 4385), and so does a `BEGIN` in a text. It costs a round trip after
    /// each use, which nobody waits for unless the pool has run dry.
    #[must_use]
    pub fn pool_options<D: Dialect>(&self) -> PoolOptions<D::Database> {
        self.counted::<D>(Arc::default())
    }

    fn counted<D: Dialect>(&self, traffic: Arc<Traffic>) -> PoolOptions<D::Database> {
        let (opened, given) = (traffic.clone(), traffic.clone());
        let within = self.release_within;
        let options = PoolOptions::new()
            .max_connections(self.connections.get())
            .acquire_timeout(self.acquire_within.min(LONGEST))
            .max_lifetime(self.lifetime.map(|limit| limit.min(LONGEST)))
            .idle_timeout(self.idle_for.map(|limit| limit.min(LONGEST)))
            // A round trip, too, and worth it: without it, a server that was restarted costs a query for each connection.
            .test_before_acquire(true)
            .after_connect(move |_, _| {
                opened.given_out();
                Box::pin(async { Ok(()) })
            })
            .before_acquire(move |_, _| {
                given.given_out();
                Box::pin(async { Ok(true) })
            });
        // ANCHOR: after_release
        options.after_release(move |connection, _| {
            let traffic = traffic.clone();
            Box::pin(async move {
                let ended = timeout(within, D::end_transaction(connection)).await;
                traffic.came_back();
                match ended {
                    Ok(ended) => ended.map(|()| true),
                    // For an error it is cut off; for `false` it would be said goodbye to, and nobody may hear that.
                    Err(_) => Err(sqlx::Error::Protocol(format!("not given back within {within:?}"))),
                }
            })
        })
        // ANCHOR_END: after_release
    }

    /// The settings of each connection.
    ///
    /// PostgreSQL: the two timeouts, as startup options; PgBouncer has to be told to let those pass
    /// (`ignore_startup_parameters`), or to set them itself. SQLite: a write-ahead log, in which readers don't wait;
    /// `synchronous = NORMAL`, which a crash of the program survives in full, and one of the machine without its last
    /// transactions; the busy timeout; foreign keys.
    #[must_use]
    pub fn connect_options<D: Dialect>(&self, options: D) -> D {
        options.tuned(self)
    }
}

/// What differs from database to database; for the options of SQLite and PostgreSQL.
pub trait Dialect: sealed::Dialect {}

impl Dialect for PgConnectOptions {}
impl Dialect for SqliteConnectOptions {}

pub(super) mod sealed {
    use super::{BoxFuture, Connection, MigrateError, Migrator, Pool, PoolSettings};
    use std::time::Duration;

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Dialect: Sized {
        /// Whose options they are.
        type Database: sqlx::Database<Connection: Connection<Options = Self>>;

        fn tuned(self, settings: &PoolSettings) -> Self;

        /// Leaves no transaction open, whoever began it.
        fn end_transaction(
            connection: &mut <Self::Database as sqlx::Database>::Connection,
        ) -> BoxFuture<'_, sqlx::Result<()>>;

        /// Runs the migrations while nobody else does.
        fn migrate<'m>(
            pool: &'m Pool<Self::Database>,
            migrations: &'m Migrator,
            within: Duration,
        ) -> BoxFuture<'m, Result<(), MigrateError>>;
    }
}

/// A limit as PostgreSQL takes it: 0 would be none at all, and for more than 24 days it lets nobody in.
pub(super) fn server_millis(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis().max(1)).unwrap_or(i32::MAX)
}

impl sealed::Dialect for PgConnectOptions {
    type Database = Postgres;

    fn tuned(self, settings: &PoolSettings) -> Self {
        self.options([
            ("statement_timeout", server_millis(settings.statement_within)),
            ("idle_in_transaction_session_timeout", server_millis(settings.idle_in_transaction_within)),
        ])
    }

    fn end_transaction(connection: &mut PgConnection) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async {
            // A bare ROLLBACK is a warning in the log of each side, where nothing is open: almost always. In a transaction
            // that has failed BEGIN is an error, and only ROLLBACK is heard.
            match connection.execute("BEGIN; ROLLBACK").await {
                Err(sqlx::Error::Database(_)) => connection.execute("ROLLBACK").await.map(drop),
                ended => ended.map(drop),
            }
        })
    }

    fn migrate<'m>(
        pool: &'m Pool<Postgres>,
        migrations: &'m Migrator,
        within: Duration,
    ) -> BoxFuture<'m, Result<(), MigrateError>> {
        Box::pin(migrate::postgres(pool, migrations, within))
    }
}

impl sealed::Dialect for SqliteConnectOptions {
    type Database = Sqlite;

    fn tuned(self, settings: &PoolSettings) -> Self {
        self.journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(settings.busy_within.min(LONGEST))
            .foreign_keys(true)
    }

    fn end_transaction(connection: &mut SqliteConnection) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async {
            match connection.execute("ROLLBACK").await {
                // Nothing to roll back: almost always.
                Err(sqlx::Error::Database(_)) => Ok(()),
                ended => ended.map(drop),
            }
        })
    }

    fn migrate<'m>(
        pool: &'m Pool<Sqlite>,
        migrations: &'m Migrator,
        within: Duration,
    ) -> BoxFuture<'m, Result<(), MigrateError>> {
        Box::pin(migrate::sqlite(pool, migrations, within))
    }
}
