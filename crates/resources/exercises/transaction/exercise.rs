//! A body, run in a transaction. Task and rules: `cargo run`, or README.md.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

/// How often a body is run at most, if the database is busy each time.
pub const ATTEMPTS: u32 = 3;

/// Runs `body` in a transaction: committed if it gives `Ok`, rolled back if not.
pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    let _ = (body, is_busy);
    todo!("a transaction on {pool:?}")
}
