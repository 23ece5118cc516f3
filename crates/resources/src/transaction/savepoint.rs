//! A part of a transaction that may fail alone.

use super::TransactionDatabase;
use sqlx::Connection;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::task_local;

// One name for all: in both databases, the last that was set is the one that is meant. Not sqlx's own names, and not its
// `begin`: dropped while the answer is under way, it sends a ROLLBACK TO after a RELEASE that was sent already, or in
// PostgreSQL, of a SAVEPOINT that it has not counted yet, a ROLLBACK of the whole transaction, after which each statement
// is committed by itself.
const SET: &str = "SAVEPOINT resources_savepoint";
const RELEASE: &str = "RELEASE SAVEPOINT resources_savepoint";
const ROLL_BACK: &str = "ROLLBACK TO SAVEPOINT resources_savepoint; RELEASE SAVEPOINT resources_savepoint";

task_local! {
    /// The transactions in whose bodies the code that runs is: the address of the connection, and whether a savepoint of
    /// it was lost. With the future, as in `nesting`: there, a destructor finds it however the future is dropped.
    static OPEN: Vec<(usize, Lost)>;
}

/// Whether a savepoint did not come to its end, so that nobody knows what is set and what was undone.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost(Arc<AtomicBool>);

impl Lost {
    /// What a transaction that has lost one gives instead of a COMMIT.
    pub(super) fn error(&self) -> Option<sqlx::Error> {
        let lost =
            "a savepoint in it was dropped, has panicked or could not be ended: the transaction has to end";
        self.0.load(Relaxed).then(|| io::Error::other(lost).into())
    }

    /// Runs the body of the transaction on the connection at this address.
    ///
    /// # Cancel safety
    /// As cancel safe as `body`.
    pub(super) fn watching<F: Future>(&self, connection: usize, body: F) -> impl Future<Output = F::Output> {
        let mut open = OPEN.try_with(Clone::clone).unwrap_or_default();
        open.push((connection, self.clone()));
        OPEN.scope(open, body)
    }

    fn of(connection: usize) -> sqlx::Result<Self> {
        let found = OPEN
            .try_with(|open| open.iter().find(|(at, _)| *at == connection).map(|(_, lost)| lost.clone()))
            .ok()
            .flatten();
        found.ok_or_else(|| {
            io::Error::other("a savepoint on a connection that was not given to a body by `transaction`")
                .into()
        })
    }
}

/// From the moment before SAVEPOINT is sent until the answer to its end.
struct Point(Option<Lost>);

impl Drop for Point {
    fn drop(&mut self) {
        if let Some(Lost(lost)) = &self.0 {
            lost.store(true, Relaxed);
        }
    }
}

/// The same for all who are given this connection, as long as nobody moves it.
pub(super) fn address<C>(connection: &C) -> usize {
    std::ptr::from_ref(connection).addr()
}

/// Runs `body` between a savepoint and its release: what it has done is undone if it gives an error, and the transaction
/// goes on.
///
/// Take it in the body of a [`transaction`](super::transaction()), around what may fail alone, on the connection that this
/// body was given. PostgreSQL refuses every statement after one that has failed, until it is rolled back to a savepoint.
///
/// # Errors
/// The body's. One of SAVEPOINT, RELEASE or ROLLBACK TO: then the whole transaction has to end, and is not committed. One
/// of its own, at once, outside the body of a transaction.
///
/// # Cancel safety
/// Not cancel safe. Dropped before its end, or ended by a panic, it costs the transaction: whatever the body gives then,
/// `Ok` too, the transaction is rolled back, with [`NotCommitted`](super::TxError::NotCommitted). The next statement can't
/// be told what is to be undone before it, and in PostgreSQL it may be given the error of the statement that was dropped.
/// What may take too long is a transaction of its own, or is stopped by the database (`statement_timeout`), which is an
/// error like any other. Dropped before it was polled, it has done nothing.
///
/// # Examples
/// ```
/// use resources::{savepoint, transaction};
/// use sqlx::SqliteConnection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = testing::Database::sqlite_in_memory().await?;
/// # let pool = database.pool();
/// # sqlx::query("CREATE TABLE words (word TEXT UNIQUE)").execute(pool).await?;
/// let new = transaction(pool, async |tx: &mut SqliteConnection| {
///     let mut new = 0;
///     for word in ["one", "two", "one"] {
///         let insert = savepoint(tx, async |tx| {
///             sqlx::query("INSERT INTO words VALUES (?)").bind(word).execute(tx).await
///         });
///         new += usize::from(insert.await.is_ok());
///     }
///     Ok::<_, sqlx::Error>(new)
/// });
/// assert_eq!(new.await?, 2);
/// # Ok(())
/// # }
/// ```
pub async fn savepoint<C, T, E>(
    connection: &mut C,
    body: impl AsyncFnOnce(&mut C) -> Result<T, E>,
) -> Result<T, E>
where
    C: Connection<Database: TransactionDatabase>,
    E: From<sqlx::Error>,
{
    let mut point = Point(Some(Lost::of(address(connection))?));
    <C::Database as TransactionDatabase>::send(connection, SET).await?;
    let ended = body(connection).await;
    let end = if ended.is_ok() { RELEASE } else { ROLL_BACK };
    <C::Database as TransactionDatabase>::send(connection, end).await?;
    point.0 = None;
    ended
}
