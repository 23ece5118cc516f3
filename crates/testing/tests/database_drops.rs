//! Dropped at every await, with a database at work.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use sqlx::{
    Connection as _, SqlSafeStr as _, Sqlite, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
};
use testing::{Database, every_await};

fn accounts() -> Migrator {
    let sql = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER); \
               INSERT INTO accounts VALUES (1, 50), (2, 50)";
    let (kind, name) = (MigrationType::Simple, "accounts".into());
    Migrator::with_migrations(vec![Migration::new(1, name, kind, sql.into_sql_str(), false)])
}

const TAKE: &str = "UPDATE accounts SET cents = cents - 10 WHERE id = 1";
const GIVE: &str = "UPDATE accounts SET cents = cents + 10 WHERE id = 2";

/// Two statements, each committed by itself.
async fn one_by_one(pool: SqlitePool) {
    sqlx::query(TAKE).execute(&pool).await.unwrap();
    sqlx::query(GIVE).execute(&pool).await.unwrap();
}
const ONE_BY_ONE: u32 = line!() - 3;

/// Both or none.
async fn in_a_transaction(pool: SqlitePool) {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(TAKE).execute(&mut *transaction).await.unwrap();
    sqlx::query(GIVE).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Drops a transfer at each await; then the money is still there, and the database can be written by the next.
fn dropped<F: Future>(transfer: impl Fn(SqlitePool) -> F) -> Result<usize, String> {
    every_await::with_io(
        async || Database::sqlite_in_memory().connections(2).migrate(&accounts()).await.unwrap(),
        |database| transfer(database.pool().clone()),
        async |database: Database<Sqlite>| {
            let sum: i64 = sqlx::query_scalar("SELECT sum(cents) FROM accounts")
                .fetch_one(database.pool())
                .await
                .map_err(|error| error.to_string())?;
            // On a connection of its own: whoever left a transaction open holds the lock.
            let mut next = sqlx::SqliteConnection::connect(database.url()).await.unwrap();
            let wrote = sqlx::query("UPDATE accounts SET cents = cents").execute(&mut next).await;
            wrote.map_err(|error| format!("the next can't write: {error}"))?;
            next.close().await.unwrap();
            database.pool().close().await;
            if sum == 100 { Ok(()) } else { Err(format!("{sum} cents, not 100")) }
        },
    )
}

#[test]
fn two_statements_are_half_done_after_a_drop_between_them() {
    let broken = dropped(one_by_one).unwrap_err();
    assert!(broken.contains("90 cents, not 100"), "{broken}");
    let lines = [ONE_BY_ONE, ONE_BY_ONE + 1].map(|line| format!("(tests/database_drops.rs:{line})"));
    assert!(lines.iter().any(|line| broken.contains(line)), "{broken}");
}

#[test]
fn a_transaction_is_done_or_not() {
    // At how many awaits it waits, depends on how quickly the database's thread answers.
    for _ in 0..10 {
        assert!(dropped(in_a_transaction).unwrap() >= 1);
    }
}
