//! Transfers between two accounts: paid, refused, left by the client, and one inside another.
//!
//! Run with: `cargo run -p resources --example transaction`

use common::{Recorder, draw};
use resources::{TransactionOptions, TxError, transaction};
use sqlx::{Executor as _, Sqlite, SqliteConnection, SqlitePool};
use std::{error::Error, num::NonZeroU32, time::Duration};
use tokio::time::sleep;

const TRANSFER: TransactionOptions<Sqlite> = TransactionOptions::new().within(Duration::from_millis(100));

// ANCHOR: transfer
/// Takes `works` in the middle: with the locks of the transaction in hand.
async fn transfer(pool: &SqlitePool, amount: i64, works: Duration) -> Result<i64, TxError<sqlx::Error>> {
    let attempts = NonZeroU32::new(3).expect("not 0");
    let body = async |tx: &mut SqliteConnection| {
        for (name, by) in [("ada", -amount), ("bob", amount)] {
            let update = sqlx::query("UPDATE accounts SET balance = balance + ? WHERE name = ?");
            update.bind(by).bind(name).execute(&mut *tx).await?;
            sleep(works).await;
        }
        sqlx::query_scalar("SELECT balance FROM accounts WHERE name = 'ada'").fetch_one(tx).await
    };
    TRANSFER.retry(attempts, pool, body).await
}
// ANCHOR_END: transfer

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = testing::Database::sqlite_in_memory().connections(1).await?;
    let pool = database.pool();
    pool.execute("CREATE TABLE accounts (name TEXT, balance INTEGER CHECK (balance >= 0))").await?;
    pool.execute("INSERT INTO accounts VALUES ('ada', 50), ('bob', 50)").await?;
    let recorder = Recorder::new("transfers (real time)");
    for (what, amount, works) in [("paid", 30, 0), ("refused", 30, 0), ("too slow", 10, 70), ("paid", 20, 0)]
    {
        let paid = transfer(pool, amount, Duration::from_millis(works));
        match recorder.try_lane(format!("{what}: {amount}"), paid).await {
            Ok(left) => println!("{amount} paid, ada has {left}"),
            Err(error) => println!("{amount} not paid: {error}"),
        }
    }
    let inside = transaction(pool, async |_: &mut SqliteConnection| transfer(pool, 1, Duration::ZERO).await);
    if let Err(TxError::Failed(TxError::Nested { .. })) = inside.await {
        println!("a transaction inside another one is refused, and does not wait for ever");
    }
    let sum: i64 = sqlx::query_scalar("SELECT SUM(balance) FROM accounts").fetch_one(pool).await?;
    println!("{sum} in all");
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
