//! Breaks `retry`: SQLite is busy at a COMMIT, too, if somebody reads.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    for _ in 1..ATTEMPTS {
        match attempt(pool, &body).await {
            Err(TxError::Failed(error)) if is_busy(&error) => {}
            ended => return ended,
        }
    }
    attempt(pool, &body).await
}

async fn attempt<T>(
    pool: &SqlitePool,
    body: &impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    // From here on a panic and a drop roll back: `tx` has a destructor.
    let mut tx = pool.begin().await.map_err(TxError::NotBegun)?;
    match body(&mut tx).await {
        Ok(value) => {
            // Awaited: before its answer nobody knows.
            tx.commit().await.map_err(TxError::NotCommitted)?;
            Ok(value)
        }
        Err(error) => {
            // The body's error is the one that explains something, whatever becomes of the rollback.
            tx.rollback().await.ok();
            Err(TxError::Failed(error))
        }
    }
}
