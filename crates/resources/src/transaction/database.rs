//! What differs between databases.

pub use sqlx::{Postgres, Sqlite};

use super::TransactionOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, SqlSafeStr as _, SqlStr, SqliteConnection};
use std::{fmt, time::Duration};

/// A database in which [`transaction`](super::transaction) runs: [`Postgres`] or [`Sqlite`].
pub trait TransactionDatabase: sqlx::Database {
    /// What can be said of a transaction when it begins.
    type Begin: fmt::Debug + Copy + Send + Sync + 'static;

    /// What is said if nothing is said.
    const BEGIN: Self::Begin;

    /// The statement that begins it; `left` is how long it may take.
    fn begin_statement(begin: Self::Begin, left: Option<Duration>) -> SqlStr;

    /// Whether what comes next can be a COMMIT: an error if it would be answered by a rollback.
    ///
    /// # Cancel safety
    /// Cancel safe if the connection is not used any more.
    fn still_good(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send + '_;

    /// From here on nothing can be committed on this connection, where a database may end a transaction by itself and
    /// commit what comes after it statement by statement.
    ///
    /// # Cancel safety
    /// Cancel safe if the connection is not used any more.
    fn refuse_commit(connection: &mut Self::Connection)
    -> impl Future<Output = sqlx::Result<()>> + Send + '_;

    /// Ends what [`refuse_commit`](Self::refuse_commit) has begun.
    ///
    /// # Cancel safety
    /// Cancel safe if the connection is not used any more.
    fn allow_commit(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send + '_;

    /// Whether a transaction can begin after a ROLLBACK that was refused; if so, it has begun, and none was open before.
    ///
    /// # Cancel safety
    /// Cancel safe if the connection is not used any more.
    fn begins(connection: &mut Self::Connection) -> impl Future<Output = bool> + Send + '_;

    /// Sends it, and reads the answers.
    ///
    /// # Cancel safety
    /// Not cancel safe: it may have been sent, and its answer is still to come.
    fn send<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send + 'c;
}

/// How a transaction in PostgreSQL begins.
#[derive(Debug, Clone, Copy)]
pub struct BeginPostgres {
    isolation: Option<Isolation>,
    read_only: bool,
}

/// What a transaction in PostgreSQL sees of others that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    ReadCommitted,
    /// Each statement sees what was committed before the first. Who writes what somebody else has written since then fails,
    /// with 40001: [`retry`](TransactionOptions::retry) it.
    RepeatableRead,
    /// As if there were no others. Who is in the way of that fails, often at COMMIT, with 40001:
    /// [`retry`](TransactionOptions::retry) it.
    Serializable,
}

impl TransactionDatabase for Postgres {
    type Begin = BeginPostgres;

    const BEGIN: BeginPostgres = BeginPostgres { isolation: None, read_only: false };

    fn begin_statement(begin: BeginPostgres, left: Option<Duration>) -> SqlStr {
        let isolation = match begin.isolation {
            None => "",
            Some(Isolation::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(Isolation::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(Isolation::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        };
        let read_only = if begin.read_only { " READ ONLY" } else { "" };
        // One message, so one round trip; 0 would be no limit, and the setting has room for 24 days.
        let limit = left.map(|left| {
            let millis = left.as_millis().clamp(1, i32::MAX as u128);
            format!("; SET LOCAL statement_timeout = {millis}")
        });
        AssertSqlSafe(format!("BEGIN{isolation}{read_only}{}", limit.unwrap_or_default())).into_sql_str()
    }

    async fn still_good(connection: &mut PgConnection) -> sqlx::Result<()> {
        // In a transaction in which a statement has failed, every statement but the last is refused, with 25P02.
        connection.execute("SELECT 1").await.map(drop)
    }

    async fn refuse_commit(_connection: &mut PgConnection) -> sqlx::Result<()> {
        // A transaction that has failed stays open, and refuses what comes.
        Ok(())
    }

    async fn allow_commit(_connection: &mut PgConnection) -> sqlx::Result<()> {
        Ok(())
    }

    async fn begins(_connection: &mut PgConnection) -> bool {
        // A ROLLBACK where no transaction is open is a warning, no error. It was refused for something else.
        false
    }

    async fn send(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
        connection.execute(sql).await.map(drop)
    }
}

impl TransactionOptions<Postgres> {
    /// What it sees of others. The server's own default, if nothing is said, is [`Isolation::ReadCommitted`].
    pub const fn isolation(mut self, isolation: Isolation) -> Self {
        self.begin.isolation = Some(isolation);
        self
    }

    /// Whoever writes in it gets an error of the database.
    pub const fn read_only(mut self) -> Self {
        self.begin.read_only = true;
        self
    }
}

/// How a transaction in SQLite begins.
#[derive(Debug, Clone, Copy)]
pub struct BeginSqlite {
    deferred: bool,
}

impl TransactionDatabase for Sqlite {
    type Begin = BeginSqlite;

    const BEGIN: BeginSqlite = BeginSqlite { deferred: false };

    fn begin_statement(begin: BeginSqlite, _left: Option<Duration>) -> SqlStr {
        if begin.deferred { "BEGIN DEFERRED" } else { "BEGIN IMMEDIATE" }.into_sql_str()
    }

    async fn still_good(_connection: &mut SqliteConnection) -> sqlx::Result<()> {
        // A statement that fails is undone, and the transaction goes on; where it does not, COMMIT gives an error.
        Ok(())
    }

    async fn refuse_commit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        // A conflict with OR ROLLBACK, RAISE(ROLLBACK), a full disk: SQLite rolls back, and what the body does after that is
        // no part of a transaction. The hook makes a rollback, and an error, of its commit.
        connection.lock_handle().await?.set_commit_hook(|| false);
        Ok(())
    }

    async fn allow_commit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        connection.lock_handle().await?.remove_commit_hook();
        Ok(())
    }

    async fn begins(connection: &mut SqliteConnection) -> bool {
        connection.execute("BEGIN").await.is_ok()
    }

    async fn send(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<()> {
        connection.execute(sql).await.map(drop)
    }
}

impl TransactionOptions<Sqlite> {
    /// `BEGIN DEFERRED` in place of `BEGIN IMMEDIATE`: for a transaction that only reads.
    ///
    /// SQLite has one writer at a time. `IMMEDIATE` waits for its turn at the start, for up to the connection's
    /// `busy_timeout`. Who begins deferred, reads, and then writes, may be refused at once (`SQLITE_BUSY_SNAPSHOT`), because
    /// what was read is no longer so, and no waiting would help.
    pub const fn deferred(mut self) -> Self {
        self.begin.deferred = true;
        self
    }
}
