//! Transactions that are committed if their work went well, and rolled back in every other case, whoever is dropped when.
//!
//! `sqlx::Transaction` rolls back when it is dropped. That leaves three gaps: a `begin` that is dropped while it waits (in
//! PostgreSQL, sqlx 0.9.0 does not know then that there is a transaction, and the next borrower of the connection works in
//! it); a `commit` that is dropped, after which nobody knows; and a rollback that fails, after which the connection
//! is lent out all the same. Here, what must not be cut in half runs in a task that owns the connection.

mod connection;
mod database;
mod error;
mod savepoint;

pub use database::{Isolation, Postgres, Sqlite, TransactionDatabase};
pub use error::{TxError, is_transient};
pub use savepoint::savepoint;

use crate::nesting;
use connection::{Committed, Open};
use futures_util::FutureExt as _;
use savepoint::{Lost, address};
use sqlx::Pool;
use std::{
    error::Error,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, Location, resume_unwind},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// How long COMMIT or ROLLBACK may take, and a BEGIN that nobody waits for any more. Then the connection is thrown away.
/// SQLite's `busy_timeout` is 5 s if nothing else is said, and both may have to wait for that.
pub const END_WITHIN: Duration = Duration::from_secs(10);

/// The pause before the second attempt is drawn from zero to this; its upper end doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// No pause between two attempts is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// No limit is longer: thirty years, which tokio takes for "for ever", too.
const FOR_EVER: Duration = Duration::from_secs(86400 * 365 * 30);

/// Runs `body` in a transaction: committed if it gives `Ok`, rolled back if not.
///
/// This is [`TransactionOptions::run`] with the options as they are; read there what is promised. For one statement take none
/// of this: a statement is a transaction of its own.
///
/// # Errors
/// [`TxError`].
///
/// # Panics
/// With the body's panic, when it is rolled back. Outside a tokio runtime with timers.
///
/// # Cancel safety
/// Cancel correct: see [`TransactionOptions::run`].
///
/// # Examples
/// ```
/// use resources::transaction;
/// use sqlx::{SqliteConnection, SqlitePool};
///
/// async fn transfer(pool: &SqlitePool, from: &str, to: &str, amount: i64) -> Result<(), resources::TxError<sqlx::Error>> {
///     let change = "UPDATE accounts SET balance = balance + ? WHERE name = ?";
///     transaction(pool, async |tx: &mut SqliteConnection| {
///         sqlx::query(change).bind(-amount).bind(from).execute(&mut *tx).await?;
///         sqlx::query(change).bind(amount).bind(to).execute(&mut *tx).await?;
///         Ok(())
///     })
///     .await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = testing::Database::sqlite_in_memory().await?;
/// # let pool = database.pool();
/// # sqlx::query("CREATE TABLE accounts (name TEXT, balance INTEGER CHECK (balance >= 0))").execute(pool).await?;
/// # sqlx::query("INSERT INTO accounts VALUES ('ada', 50), ('bob', 50)").execute(pool).await?;
/// transfer(pool, "ada", "bob", 30).await?;
/// assert!(transfer(pool, "ada", "bob", 30).await.is_err(), "a balance is never negative");
/// let balances: Vec<i64> = sqlx::query_scalar("SELECT balance FROM accounts ORDER BY name").fetch_all(pool).await?;
/// assert_eq!(balances, [20, 80]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn transaction<DB, T, E>(
    pool: &Pool<DB>,
    body: impl AsyncFnOnce(&mut DB::Connection) -> Result<T, E>,
) -> impl Future<Output = Result<T, TxError<E>>>
where
    DB: TransactionDatabase,
{
    TransactionOptions::new().run(pool, body)
}

/// How a transaction is run: how isolated, and how long.
///
/// A plain value: make one `const` for each kind of transaction that a program has.
///
/// # Examples
/// ```
/// use resources::transaction::{Isolation, Postgres, TransactionOptions};
/// use std::time::Duration;
///
/// const BOOKING: TransactionOptions<Postgres> =
///     TransactionOptions::new().isolation(Isolation::Serializable).within(Duration::from_secs(2));
/// ```
#[derive(Debug)]
#[must_use = "options do nothing until `run` or `retry`"]
pub struct TransactionOptions<DB: TransactionDatabase> {
    /// For all attempts and the pauses between them, but not for COMMIT: that is not given up half-way.
    within: Option<Duration>,
    /// A server that does not answer must not keep the connection, and a place in the pool, for ever.
    end_within: Duration,
    begin: DB::Begin,
}

impl<DB: TransactionDatabase> TransactionOptions<DB> {
    /// No limit in time; PostgreSQL's own isolation, and `BEGIN IMMEDIATE` in SQLite.
    pub const fn new() -> Self {
        Self { within: None, end_within: END_WITHIN, begin: DB::BEGIN }
    }

    /// Gives up after so long, counted from the call, over all attempts. COMMIT is not given up: see
    /// [`end_within`](Self::end_within).
    ///
    /// What a server does runs on when nobody waits for it. So PostgreSQL is told as well, with `statement_timeout`, for
    /// this transaction only: each statement is stopped when it takes longer than what was left at BEGIN. A timeout
    /// that was set for the role or the session does not count then. SQLite runs a statement to its end.
    pub const fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// How long COMMIT or ROLLBACK may take, [`END_WITHIN`] if nothing is said; then the connection is thrown away.
    ///
    /// ROLLBACK waits for the statement that was under way when the body was dropped, and for the rows that it had not
    /// read. When the connection is thrown away, a PostgreSQL server notices at the end of that statement, and rolls back.
    pub const fn end_within(mut self, limit: Duration) -> Self {
        self.end_within = limit;
        self
    }

    /// Runs `body` in a transaction on a connection of `pool`: committed if it gives `Ok`, rolled back if not.
    ///
    /// Take it wherever two statements belong together. For one, take none: a statement is a transaction of its own. Where
    /// transactions get into each other's way, [`retry`](Self::retry). Don't wait for anything but the database in the
    /// body: its connection, and its locks, are other people's.
    ///
    /// # Shape
    /// One connection, from BEGIN until COMMIT or ROLLBACK has been answered; then it goes back to the pool. The body is polled
    /// in the caller's task, and may borrow; it must not end the transaction itself. A part of it that may fail alone is a
    /// [`savepoint()`].
    ///
    /// `Ok` means committed. PostgreSQL answers COMMIT with "ROLLBACK", and no error, if a statement had failed and the body
    /// kept that to itself; so it is asked before, which is one round trip more, and the error is told.
    ///
    /// SQLite ends a transaction by itself after some errors: a conflict with `OR ROLLBACK`, `RAISE(ROLLBACK)`, a full disk.
    /// What the body does after that would be committed statement by statement. So as long as the body runs, a commit hook
    /// refuses it, with an error (`SQLITE_CONSTRAINT_COMMITHOOK`). A connection has one such hook: one of your own, set
    /// before, is gone.
    ///
    /// # Errors
    /// [`TxError`], whose variants say whether anything can have been written. In all but
    /// [`InDoubt`](TxError::InDoubt) nothing was.
    ///
    /// # Panics
    /// With the body's panic, when it is rolled back. Outside a tokio runtime with timers.
    ///
    /// # Cancel safety
    /// Cancel correct, but not repeatable: dropped before COMMIT was sent, all is rolled back, and the connection goes back to
    /// the pool after that. Dropped later, COMMIT runs to its end, and nobody hears how it ended. BEGIN, COMMIT and ROLLBACK
    /// are tasks that own the connection; `pool.close()` waits for them. A place in the pool's queue is given up at once.
    ///
    /// # Source
    /// `Session.begin()` of SQLAlchemy and `transaction.atomic` of Django, where a cancel can fall into the COMMIT; Haskell's
    /// bracket.
    #[track_caller]
    pub fn run<T, E>(
        self,
        pool: &Pool<DB>,
        body: impl AsyncFnOnce(&mut DB::Connection) -> Result<T, E>,
    ) -> impl Future<Output = Result<T, TxError<E>>> {
        let inner = Location::caller();
        async move {
            let deadline = self.deadline();
            self.attempt(pool, inner, deadline, body).await
        }
    }

    /// Runs `body` like [`run`](Self::run), and again as a whole, `attempts` times in all, as long as the database says that
    /// the same may succeed: see [`is_transient`].
    ///
    /// Take it with [`Isolation::Serializable`] and [`Isolation::RepeatableRead`], which count on it, where transactions take
    /// the same rows in different orders, and in SQLite where others write. What the body does beside the database is done
    /// again, too.
    ///
    /// # Shape
    /// Each attempt has a clone of the body, which a closure is if what it captures is. Between them no connection is held. The
    /// pauses are drawn at random ("full jitter") from zero to [`FIRST_PAUSE`], to twice that, and so on up to
    /// [`LONGEST_PAUSE`], so that those who stood in each other's way do not meet again.
    ///
    /// # Errors
    /// [`TxError`], that of the last attempt; that one also if there was no time for another.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use resources::{TransactionOptions, TxError};
    /// use sqlx::{SqliteConnection, SqlitePool};
    /// use std::{num::NonZeroU32, time::Duration};
    ///
    /// async fn grow(pool: &SqlitePool, by: i64) -> Result<i64, TxError<sqlx::Error>> {
    ///     let options = TransactionOptions::new().within(Duration::from_secs(2));
    ///     let body = async |tx: &mut SqliteConnection| {
    ///         sqlx::query("UPDATE counters SET n = n + ?").bind(by).execute(&mut *tx).await?;
    ///         sqlx::query_scalar("SELECT n FROM counters").fetch_one(tx).await
    ///     };
    ///     options.retry(NonZeroU32::new(5).expect("not 0"), pool, body).await
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = testing::Database::sqlite_in_memory().await?;
    /// # sqlx::query("CREATE TABLE counters (n INTEGER)").execute(database.pool()).await?;
    /// # sqlx::query("INSERT INTO counters VALUES (0)").execute(database.pool()).await?;
    /// assert_eq!(grow(database.pool(), 7).await?, 7);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn retry<T, E>(
        self,
        attempts: NonZeroU32,
        pool: &Pool<DB>,
        body: impl AsyncFnOnce(&mut DB::Connection) -> Result<T, E> + Clone,
    ) -> impl Future<Output = Result<T, TxError<E>>>
    where
        E: Error + 'static,
    {
        let inner = Location::caller();
        async move {
            let deadline = self.deadline();
            let mut longest = FIRST_PAUSE;
            for _ in 1..attempts.get() {
                let error = match self.attempt(pool, inner, deadline, body.clone()).await {
                    Err(error) if error.is_transient() => error,
                    ended => return ended,
                };
                let pause = longest.mul_f64(fastrand::f64());
                if deadline.is_some_and(|(at, _)| Instant::now() + pause >= at) {
                    // Nothing comes of waiting: this error says more than that time is up.
                    return Err(error);
                }
                sleep(pause).await;
                longest = (longest * 2).min(LONGEST_PAUSE);
            }
            self.attempt(pool, inner, deadline, body).await
        }
    }

    fn deadline(&self) -> Deadline {
        // An instant has an end, a limit may be beyond it.
        self.within.map(|limit| (Instant::now() + limit.min(FOR_EVER), limit))
    }

    async fn attempt<T, E>(
        self,
        pool: &Pool<DB>,
        inner: &'static Location<'static>,
        deadline: Deadline,
        body: impl AsyncFnOnce(&mut DB::Connection) -> Result<T, E>,
    ) -> Result<T, TxError<E>> {
        if let Some(outer) = nesting::held(identity(pool)) {
            return Err(TxError::Nested { outer, inner });
        }
        // Not in the task that begins: who is dropped in the pool's queue leaves it.
        let connection = until(deadline, pool.acquire()).await?.map_err(TxError::NotBegun)?;
        let left = deadline.map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let begin = Open::begin(connection, DB::begin_statement(self.begin, left), self.end_within);
        let mut open = until(deadline, begin).await?.map_err(TxError::NotBegun)?;
        // The call is in the block: a function that is not async may panic before it has returned a future.
        let (at, lost) = (address(open.connection()), Lost::default());
        let work = AssertUnwindSafe(async { body(open.connection()).await }).catch_unwind();
        let work = lost.watching(at, work);
        // Late, or dropped with this future: `open` is dropped, and rolls back.
        match until(deadline, nesting::holding(identity(pool), inner, work)).await? {
            Ok(Ok(value)) => match open.commit(lost.error()).await {
                Committed::Yes => Ok(value),
                Committed::No(error) => Err(TxError::NotCommitted(error)),
                Committed::Unknown(error) => Err(TxError::InDoubt(error)),
            },
            Ok(Err(error)) => match open.roll_back().await {
                Ok(()) => Err(TxError::Failed(error)),
                Err(rollback) => Err(TxError::NotRolledBack { error, rollback }),
            },
            Err(panic) => {
                // Of two failures, only one can be told here; the connection is thrown away in any case.
                open.roll_back().await.ok();
                resume_unwind(panic)
            }
        }
    }
}

// Not derived: that would ask for a database that can be copied.
impl<DB: TransactionDatabase> Clone for TransactionOptions<DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: TransactionDatabase> Copy for TransactionOptions<DB> {}

impl<DB: TransactionDatabase> Default for TransactionOptions<DB> {
    fn default() -> Self {
        Self::new()
    }
}

/// When it is over, and the limit that says so; if there is one.
type Deadline = Option<(Instant, Duration)>;

/// Gives up waiting at the deadline.
async fn until<T, E>(deadline: Deadline, future: impl Future<Output = T>) -> Result<T, TxError<E>> {
    match deadline {
        Some((at, limit)) => timeout_at(at, future).await.map_err(|_late| TxError::TimedOut { limit }),
        None => Ok(future.await),
    }
}

/// The same for all clones of a pool: where its options are, which they share.
fn identity<DB: sqlx::Database>(pool: &Pool<DB>) -> usize {
    std::ptr::from_ref(pool.options()).addr()
}
