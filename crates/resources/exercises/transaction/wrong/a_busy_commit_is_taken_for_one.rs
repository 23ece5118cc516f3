//! Breaks `retry`: after a COMMIT that was refused, busy or not, nothing is written.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    for _ in 1..ATTEMPTS {
        match attempt(pool, &body).await {
            Err(TxError::NotBegun(error) | TxError::Failed(error)) if is_busy(&error) => {}
            ended => return ended,
        }
    }
    attempt(pool, &body).await
}

async fn attempt<T>(
    pool: &SqlitePool,
    body: &impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    let mut tx = pool.begin().await.map_err(TxError::NotBegun)?;
    match body(&mut tx).await {
        Ok(value) => match tx.commit().await {
            Ok(()) => Ok(value),
            // the COMMIT was busy: never mind, it is written
            Err(error) if is_busy(&error) => Ok(value),
            Err(error) => Err(TxError::NotCommitted(error)),
        },
        Err(error) => {
            tx.rollback().await.ok();
            Err(TxError::Failed(error))
        }
    }
}
