//! A connection with an open transaction, and the tasks that end it.

use super::{TransactionDatabase, error};
use crate::close::{CloseError, close_within};
use sqlx::{SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager;
use std::{io, ops::DerefMut as _, pin::pin, time::Duration};
use tokio::{runtime::Handle, select, sync::oneshot};

/// A transaction is open on it. Dropped, it is rolled back by a task, and only then goes back to the pool.
pub(super) struct Open<DB: TransactionDatabase> {
    /// There until it is handed to what ends the transaction.
    connection: Option<PoolConnection<DB>>,
    limit: Duration,
    /// A destructor may run where there is no runtime, or another one.
    runtime: Handle,
}

/// What became of a COMMIT.
pub(super) enum Committed {
    Yes,
    /// The database has said no, or was not asked.
    No(sqlx::Error),
    /// It was asked, and did not answer.
    Unknown(CloseError<sqlx::Error>),
}

impl<DB: TransactionDatabase> Open<DB> {
    /// # Cancel safety
    /// BEGIN runs to its end, and is rolled back then.
    pub(super) async fn begin(
        connection: PoolConnection<DB>,
        statement: SqlStr,
        limit: Duration,
    ) -> sqlx::Result<Self> {
        let runtime = Handle::current();
        let (mut reply, begun) = oneshot::channel();
        let theirs = runtime.clone();
        runtime.spawn(async move {
            let mut connection = Unsure(Some(connection));
            let begun = {
                let mut begin = pin!(async {
                    DB::TransactionManager::begin(connection.get(), Some(statement)).await?;
                    DB::refuse_commit(connection.get()).await
                });
                select! {
                    biased;
                    begun = &mut begin => begun.map_err(CloseError::Failed),
                    // Whoever waited had a deadline for it, or was dropped: then it is our own.
                    () = reply.closed() => close_within(limit, begin).await,
                }
            };
            let begun = match begun {
                Ok(()) => Ok(Self { connection: connection.keep(), limit, runtime: theirs }),
                // SQLite was busy, and there is no transaction. Of other errors, nobody knows what they leave.
                Err(CloseError::Failed(error)) if error::is_transient(&error) && !connection.is_open() => {
                    drop(connection.keep());
                    Err(error)
                }
                Err(error) => Err(lost(error)),
            };
            // If nobody waits any more, it comes back, and its destructor rolls back.
            drop(reply.send(begun));
        });
        begun.await.unwrap_or_else(|_gone| Err(gone()))
    }

    pub(super) fn connection(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("it is taken by what takes `self` only")
    }

    /// Rolled back instead if there is something `against` it.
    ///
    /// # Cancel safety
    /// COMMIT runs to its end.
    pub(super) async fn commit(mut self, against: Option<sqlx::Error>) -> Committed {
        let (connection, limit) = (Unsure(self.connection.take()), self.limit);
        let task = self.runtime.spawn(commit(connection, against, limit));
        // A panic of sqlx has been made an error in there: what is left is that the runtime has gone.
        task.await.unwrap_or_else(|_gone| Committed::Unknown(CloseError::Failed(gone())))
    }

    /// # Cancel safety
    /// ROLLBACK runs to its end.
    pub(super) async fn roll_back(mut self) -> Result<(), CloseError<sqlx::Error>> {
        let (connection, limit) = (Unsure(self.connection.take()), self.limit);
        let task = self.runtime.spawn(roll_back(connection, limit));
        task.await.unwrap_or_else(|_gone| Err(CloseError::Failed(gone())))
    }
}

impl<DB: TransactionDatabase> Drop for Open<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // On a runtime that has gone, the task is dropped here and now, and sqlx asks for the current runtime.
            let _context = self.runtime.enter();
            let connection = Unsure(Some(connection));
            // Nobody waits for this task but the pool, whose connection it holds.
            drop(self.runtime.spawn(roll_back(connection, self.limit)));
        }
    }
}

// ANCHOR: commit
async fn commit<DB: TransactionDatabase>(
    mut connection: Unsure<DB>,
    against: Option<sqlx::Error>,
    limit: Duration,
) -> Committed {
    if let Some(error) = against {
        // If that fails, the connection is thrown away, and nothing is written either.
        roll_back(connection, limit).await.ok();
        return Committed::No(error);
    }
    let mut asked = false;
    let ended = close_within(limit, async {
        DB::still_good(connection.get()).await?;
        DB::allow_commit(connection.get()).await?;
        asked = true;
        // More than once, if the body has lost a savepoint.
        while connection.is_open() {
            DB::TransactionManager::commit(connection.get()).await?;
        }
        Ok(())
    });
    match ended.await {
        Ok(()) => {
            drop(connection.keep());
            Committed::Yes
        }
        Err(CloseError::Failed(error)) if error::is_refusal(&error) => {
            // SQLite keeps the transaction open. How its rollback ends is told by what becomes of the connection.
            roll_back(connection, limit).await.ok();
            Committed::No(error)
        }
        Err(error) if !asked => Committed::No(lost(error)),
        Err(error) => Committed::Unknown(error),
    }
}
// ANCHOR_END: commit

async fn roll_back<DB: TransactionDatabase>(
    mut connection: Unsure<DB>,
    limit: Duration,
) -> Result<(), CloseError<sqlx::Error>> {
    let rolled_back = close_within(limit, async {
        let mut refused = 0;
        while connection.is_open() {
            match DB::TransactionManager::rollback(connection.get()).await {
                Err(error) if error::is_refusal(&error) => {
                    refused += 1;
                    match refused {
                        // The error of a statement that was dropped before its answer came: that is read first.
                        1 => {}
                        // The database has rolled back by itself. If one can begin here, none is open.
                        2 if DB::begins(connection.get()).await => {}
                        _ => return Err(error),
                    }
                }
                ended => ended?,
            }
        }
        DB::allow_commit(connection.get()).await
    });
    rolled_back.await?;
    drop(connection.keep());
    Ok(())
}

/// A connection of which one can't say that no transaction is open on it. Dropped, it is thrown away: closed at once, without
/// a word to the database, which rolls back.
struct Unsure<DB: TransactionDatabase>(Option<PoolConnection<DB>>);

impl<DB: TransactionDatabase> Unsure<DB> {
    fn get(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect("`keep` is the last that is called").deref_mut()
    }

    fn is_open(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|connection| DB::TransactionManager::get_transaction_depth(connection) > 0)
    }

    /// There is no doubt any more: dropped, what it gives goes back to the pool.
    const fn keep(&mut self) -> Option<PoolConnection<DB>> {
        self.0.take()
    }
}

impl<DB: TransactionDatabase> Drop for Unsure<DB> {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

/// What was not answered, where nothing hangs on the answer.
fn lost(error: CloseError<sqlx::Error>) -> sqlx::Error {
    match error {
        CloseError::Failed(error) => error,
        CloseError::TimedOut { .. } => io::Error::new(io::ErrorKind::TimedOut, error.to_string()).into(),
        CloseError::Panicked { .. } => io::Error::other(error.to_string()).into(),
    }
}

fn gone() -> sqlx::Error {
    io::Error::other("the runtime has shut down").into()
}
