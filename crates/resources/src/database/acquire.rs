//! A connection, or the reason why there is none.

use super::{
    LONGEST, identity,
    notes::{self, Asking, Evidence, Held, Server, Waiting},
};
use crate::nesting;
use sqlx::{ConnectOptions as _, Connection as _, Pool, pool::PoolConnection};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    select,
    time::{Instant, sleep_until, timeout},
};

/// Why there is no connection: what sqlx calls `PoolTimedOut`, told apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The pool is closed: the service is stopping. Don't try again.
    #[error("the pool is closed")]
    Closed,
    /// The code that asks holds a connection of this pool already, so that it would wait for itself. Pass that one on.
    #[error("this code holds a connection of the pool already, asked for at {outer}: pass it on")]
    Nested {
        /// Where the first was asked for.
        outer: &'static Location<'static>,
    },
    /// All are held, and in the whole time none came back: one is leaked, kept over something slow, or its statement is
    /// slow. Look at the places; more connections only put it off.
    #[error("no connection came back: kept over something slow, leaked, or a slow statement ({evidence})")]
    Held {
        /// Who holds them, and since when.
        evidence: Box<Evidence>,
    },
    /// They come back and are given to others: more callers than the pool can serve. Shed load, or make what is done with
    /// a connection shorter; then, if the server has room, enlarge the pool.
    #[error("connections came back, and others had waited longer ({evidence})")]
    Overloaded {
        /// How many wait, and how many came back.
        evidence: Box<Evidence>,
    },
    /// The server gives no new connection: a wrong address or password, too many connections, or it is down. Try again
    /// later, if it is known to be starting.
    #[error("the server gives no connection: {} ({evidence})", refusal.as_ref().map_or(String::from("it does not answer"), ToString::to_string))]
    Unreachable {
        /// What it said; nothing if it did not answer.
        #[source]
        refusal: Option<Arc<sqlx::Error>>,
        /// How long was waited.
        evidence: Box<Evidence>,
    },
    /// All are held, and whether any came back can't be told: the pool is not one of
    /// [`PoolSettings::pool`](super::PoolSettings::pool), and somebody takes connections from the pool itself.
    #[error("no connection was free, and nobody has counted those that came back ({evidence})")]
    InUse {
        /// What is known.
        evidence: Box<Evidence>,
    },
    /// For half of the wait or more, no task was polled: something blocks the runtime. The database may be well. Less than
    /// 20 ms are never blamed.
    #[error(
        "the runtime was blocked for {late:?} of the wait: something computes or blocks in async code ({evidence})"
    )]
    Blocked {
        /// How much of the wait it was.
        late: Duration,
        /// What the pool looked like then.
        evidence: Box<Evidence>,
    },
}

impl AcquireError {
    /// What was seen of the pool, if there was a wait.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Closed | Self::Nested { .. } => None,
            Self::Held { evidence }
            | Self::Overloaded { evidence }
            | Self::InUse { evidence }
            | Self::Unreachable { evidence, .. }
            | Self::Blocked { evidence, .. } => Some(evidence),
        }
    }
}

/// A connection, and the note of who has it. It derefs to the connection: `query.execute(&mut *lease)`.
///
/// Dropped, it goes back to the pool; [`discard`](Self::discard) closes it instead.
#[must_use = "dropped, it goes back to the pool"]
pub struct Lease<DB: sqlx::Database> {
    connection: PoolConnection<DB>,
    /// After the connection: who sees that it is no longer held finds it on its way back.
    _held: Held,
}

impl<DB: sqlx::Database> Lease<DB> {
    /// Closes the connection in place of giving it back, in a task: the pool opens another.
    ///
    /// For one whose state nobody knows, and for one with a stream that was not read to its end: the pool would read the
    /// rest, and keep everybody waiting for it.
    pub fn discard(mut self) {
        self.connection.close_on_drop();
    }
}

impl<DB: sqlx::Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<DB: sqlx::Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl<DB: sqlx::Database> fmt::Debug for Lease<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// A connection of the pool within `limit`, or the reason why there is none.
///
/// Take it where code needs one connection for several statements. For a single statement the pool itself is an executor;
/// for work that ends with the connection, [`with_connection()`] finds nested use.
///
/// # Shape
/// First come, first served. It waits for `limit`, or for the pool's `acquire_timeout` if that is shorter. While
/// anybody waits, a task looks at the clock now and then, to see whether the runtime lets it; and if, after three quarters of
/// the wait, not all connections are known to be held, one of those who wait asks the server for a connection of its own, beside the pool, to
/// hear what it says. That one is closed at once.
///
/// # Errors
/// [`AcquireError`]. Only connections that were taken with this function or [`with_connection()`] have a place that can be
/// named.
///
/// # Cancel safety
/// Dropped, it has taken nothing: its place in the queue is free. A connection that was being opened for it is dropped; the
/// server sees it as broken off.
///
/// # Source
/// The causes that sqlx's maintainer lists in sqlx issue 2276.
///
/// # Examples
/// ```
/// use resources::database::{AcquireError, PoolSettings, acquire};
/// use sqlx::sqlite::SqliteConnectOptions;
/// use std::{num::NonZeroU32, time::Duration};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let settings = PoolSettings::new(NonZeroU32::new(1).unwrap());
/// let pool = settings.pool(SqliteConnectOptions::new().in_memory(true));
/// let mut held = acquire(&pool, Duration::from_secs(5)).await?;
/// let two: i64 = sqlx::query_scalar("SELECT 1 + 1").fetch_one(&mut *held).await?;
/// assert_eq!(two, 2);
///
/// let error = acquire(&pool, Duration::from_millis(40)).await.unwrap_err();
/// let AcquireError::Held { evidence } = error else { panic!("{error}") };
/// assert_eq!(evidence.holders[0].asked_at.file(), file!());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn acquire<DB: sqlx::Database>(
    pool: &Pool<DB>,
    limit: Duration,
) -> impl Future<Output = Result<Lease<DB>, AcquireError>> + Send + use<DB> {
    acquired(pool.clone(), limit, Location::caller())
}

/// Runs `body` with a connection; within it, a second one of this pool is refused at once.
///
/// # Shape
/// The body is polled in the caller's task, and may borrow. [`acquire()`] and this function know within it, and within
/// what it calls and polls, that a connection of the pool is held. A query on the pool itself does not ask them, and
/// a task that the body spawns holds nothing.
///
/// # Errors
/// The body's own; an [`AcquireError`] as one of them, before the body is called.
///
/// # Cancel safety
/// The body is dropped at its await. The connection goes back to the pool, by a task: what was begun on it is rolled back
/// there, if the pool is one of [`PoolSettings`](super::PoolSettings); a statement runs on until the server's timeout.
///
/// # Source
/// The loan pattern; `async with pool.acquire()` of asyncpg, in which a second `acquire` waits for the first.
///
/// # Examples
/// ```
/// use resources::database::{AcquireError, PoolSettings, with_connection};
/// use sqlx::sqlite::SqliteConnectOptions;
/// use std::{num::NonZeroU32, time::Duration};
///
/// #[derive(Debug, thiserror::Error)]
/// enum Error {
///     #[error(transparent)]
///     Acquire(#[from] AcquireError),
///     #[error(transparent)]
///     Database(#[from] sqlx::Error),
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let settings = PoolSettings::new(NonZeroU32::new(1).unwrap());
/// let pool = settings.pool(SqliteConnectOptions::new().in_memory(true));
/// let limit = Duration::from_secs(5);
/// let two: i64 = with_connection(&pool, limit, async |connection| {
///     Ok::<_, Error>(sqlx::query_scalar("SELECT 1 + 1").fetch_one(connection).await?)
/// }).await?;
/// assert_eq!(two, 2);
///
/// let nested = with_connection(&pool, limit, async |_| {
///     with_connection(&pool, limit, async |_| Ok::<_, Error>(())).await
/// }).await;
/// assert!(matches!(nested, Err(Error::Acquire(AcquireError::Nested { .. }))));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn with_connection<DB, T, E, F>(
    pool: &Pool<DB>,
    limit: Duration,
    body: F,
) -> impl Future<Output = Result<T, E>> + use<DB, T, E, F>
where
    DB: sqlx::Database,
    E: From<AcquireError>,
    F: AsyncFnOnce(&mut DB::Connection) -> Result<T, E>,
{
    let (pool, asked_at) = (pool.clone(), Location::caller());
    async move {
        let mut lease = acquired(pool.clone(), limit, asked_at).await?;
        nesting::holding(identity(&pool), asked_at, body(&mut lease)).await
    }
}

async fn acquired<DB: sqlx::Database>(
    pool: Pool<DB>,
    limit: Duration,
    asked_at: &'static Location<'static>,
) -> Result<Lease<DB>, AcquireError> {
    if let Some(outer) = nesting::held(identity(&pool)) {
        return Err(AcquireError::Nested { outer });
    }
    // ANCHOR: watched
    let start = Instant::now();
    let limit = limit.min(pool.options().get_acquire_timeout()).min(LONGEST);
    // While anybody waits, a task looks at the clock: when it was late, the clock has gone on, and nobody was polled.
    let waiting = Waiting::new(identity(&pool));
    let mut acquiring = pin!(timeout(limit, pool.acquire()));
    let mut asking = pin!(ask_server(&pool, &waiting, start + limit / 4 * 3));
    let mut asked = false;
    let ended = loop {
        select! {
            biased;
            ended = &mut acquiring => break ended,
            () = &mut asking, if !asked => asked = true,
        }
    };
    let late = waiting.late();
    // ANCHOR_END: watched
    let server = waiting.server();
    match ended {
        Ok(Ok(connection)) => return Ok(Lease { connection, _held: waiting.holds(asked_at) }),
        Ok(Err(sqlx::Error::PoolClosed)) => return Err(AcquireError::Closed),
        Err(_) | Ok(Err(sqlx::Error::PoolTimedOut)) => {}
        Ok(Err(error)) => {
            let (refusal, evidence) = (Some(Arc::new(error)), evidence(&pool, &waiting, start, late));
            return Err(AcquireError::Unreachable { refusal, evidence });
        }
    }
    let evidence = evidence(&pool, &waiting, start, late);
    let all_known = all_out(&pool, &waiting);
    Err(match server {
        _ if !late.is_zero() && late >= limit / 2 => AcquireError::Blocked { late, evidence },
        // Which server has room for more than the pool is nobody's business: it wants no more.
        Server::Refuses(error) if !(all_known || full(&pool) && too_many(&error)) => {
            AcquireError::Unreachable { refusal: Some(error), evidence }
        }
        Server::Silent(time) if !all_known && time >= limit / 5 => {
            AcquireError::Unreachable { refusal: None, evidence }
        }
        Server::Asked(since) if !all_known && since.elapsed() >= limit / 5 => {
            AcquireError::Unreachable { refusal: None, evidence }
        }
        // It opens connections, or somebody has only just asked it: then the pool's are in use.
        _ if evidence.returned > 0 => AcquireError::Overloaded { evidence },
        _ if waiting.counted() || all_known => AcquireError::Held { evidence },
        _ => AcquireError::InUse { evidence },
    })
}

/// Whether all that the pool may have are open, or being opened, and none is idle.
fn full<DB: sqlx::Database>(pool: &Pool<DB>) -> bool {
    pool.size() >= pool.options().get_max_connections() && pool.num_idle() == 0
}

/// Whether all that the pool may have are known to be out: then it wants nothing from the server.
fn all_out<DB: sqlx::Database>(pool: &Pool<DB>, waiting: &Waiting) -> bool {
    let open = u64::from(pool.size()).saturating_sub(pool.num_idle() as u64);
    waiting.out(open) >= u64::from(pool.options().get_max_connections())
}

/// `too_many_connections`, of PostgreSQL.
fn too_many(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53300")
}

/// Asks the server for a connection beside the pool's, when it is time to doubt.
async fn ask_server<DB: sqlx::Database>(pool: &Pool<DB>, waiting: &Waiting, at: Instant) {
    sleep_until(at).await;
    if all_out(pool, waiting) {
        return;
    }
    let Some(asking) = Asking::new(identity(pool)) else { return };
    match pool.connect_options().connect().await {
        Ok(connection) => {
            asking.told(Server::Accepts);
            // It was only asked whether there is one.
            connection.close().await.ok();
        }
        Err(error) => asking.told(Server::Refuses(Arc::new(error))),
    }
}

fn evidence<DB: sqlx::Database>(
    pool: &Pool<DB>,
    waiting: &Waiting,
    start: Instant,
    late: Duration,
) -> Box<Evidence> {
    Box::new(Evidence {
        waited: start.elapsed(),
        limit: pool.options().get_max_connections(),
        open: pool.size(),
        idle: pool.num_idle(),
        waiting: waiting.waiting(),
        returned: waiting.returned(),
        late,
        holders: notes::holders(identity(pool)),
    })
}
