//! Why a transaction was not committed, and what can be done about it.

use crate::close::CloseError;
use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
    sqlite::SqliteError,
};
use std::{error::Error, panic::Location, time::Duration};

/// A transaction was not committed, or nobody knows. In all variants but [`InDoubt`](Self::InDoubt) nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TxError<E> {
    /// The body gave an error, and was rolled back. What to do is the body's question.
    #[error("rolled back: {0}")]
    Failed(#[source] E),
    /// There was no connection, or it would not begin: the body has not run. Try again later, or do without.
    #[error("no transaction could be begun: {0}")]
    NotBegun(#[source] sqlx::Error),
    /// The database has refused to commit, and rolled back: a constraint that is looked at last, a conflict with another
    /// transaction, or a statement that had failed and whose error the body has kept to itself. Or it was not asked, because
    /// a [`savepoint`](super::savepoint()) had been dropped.
    #[error("not committed: {0}")]
    NotCommitted(#[source] sqlx::Error),
    /// COMMIT was sent, and not answered: it is committed, or it is not. Look for what it would have written, by a key that
    /// was chosen before, and only then do it again.
    #[error("nobody knows whether it was committed: {0}")]
    InDoubt(#[source] CloseError<sqlx::Error>),
    /// The body gave an error, and the rollback failed, too. The connection was thrown away, upon which the database rolls
    /// back; its locks may stay for a while.
    #[error("{error}; and its rollback failed: {rollback}")]
    NotRolledBack {
        /// The body's.
        #[source]
        error: E,
        /// The rollback's.
        rollback: CloseError<sqlx::Error>,
    },
    /// It took longer than [`within`](super::TransactionOptions::within) allows, and is being rolled back.
    #[error("not done within {limit:?}, and rolled back")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// It was to begin where a connection of the same pool is held: in the body of another transaction, or of
    /// [`with_connection`](crate::database::with_connection). It would wait for a second connection with the first in hand,
    /// and see nothing of what another transaction has done. Pass the connection on; in a transaction, take a
    /// [`savepoint`](super::savepoint()).
    #[error(
        "a transaction ({inner}) by one who holds a connection of the same pool (asked for at {outer}): pass that one on"
    )]
    Nested {
        /// Where the connection that is held was asked for.
        outer: &'static Location<'static>,
        /// Where this one was to begin.
        inner: &'static Location<'static>,
    },
}

impl<E: Error + 'static> TxError<E> {
    /// Whether nothing was done, and the same may succeed: see [`is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => is_transient(error),
            Self::NotBegun(error) | Self::NotCommitted(error) => is_transient(error),
            Self::InDoubt(_) | Self::NotRolledBack { .. } | Self::TimedOut { .. } | Self::Nested { .. } => {
                false
            }
        }
    }
}

/// Whether the same transaction, done again from the start, may succeed: PostgreSQL's 40001 (serialisation failure) and 40P01
/// (deadlock), SQLite's `SQLITE_BUSY` and `SQLITE_LOCKED` with all their kinds.
///
/// It looks through the `source()`s of an error, so that an error of one's own around a `sqlx::Error` is judged by it. A
/// connection that was refused or lost is none: that is for the one who knows how long the server will be away.
#[must_use]
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return error.as_database_error().is_some_and(is_conflict);
        }
        // An enum that is `transparent` leaves out the sqlx::Error itself, and goes on with what is in it.
        if let Some(error) = error.downcast_ref::<Box<dyn DatabaseError>>() {
            return is_conflict(&**error);
        }
        next = error.source();
    }
    false
}

fn is_conflict(error: &(dyn DatabaseError + 'static)) -> bool {
    if error.try_downcast_ref::<SqliteError>().is_some() {
        return matches!(primary_code(error), Some(BUSY | LOCKED));
    }
    error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| matches!(error.code(), "40001" | "40P01"))
}

/// Whether the database has said no, and the connection is as good as before.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.try_downcast_ref::<PgDatabaseError>() {
        // FATAL ends the session. A server that is told to stop says it also to one whose COMMIT is already on disk, and
        // 40003 says in words that it does not know. Class 08 is about the connection: 08007 ("transaction resolution
        // unknown"), or a pooler whose server has gone, and which may have passed the COMMIT on.
        Some(error) => {
            let code = error.code();
            error.severity() == PgSeverity::Error && code != "40003" && !code.starts_with("08")
        }
        // What was written when a file could not be is known when the database is next opened.
        None => primary_code(error) != Some(IOERR),
    }
}

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const IOERR: i32 = 10;

/// SQLite's, without the part that says of which kind it is.
fn primary_code(error: &(dyn DatabaseError + 'static)) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}
