//! Breaks `retry`: three times more is four times in all.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    for _ in 0..ATTEMPTS {
        match attempt(pool, &body).await {
            Err(TxError::NotBegun(error) | TxError::Failed(error) | TxError::NotCommitted(error))
                if is_busy(&error) => {}
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
        Ok(value) => {
            tx.commit().await.map_err(TxError::NotCommitted)?;
            Ok(value)
        }
        Err(error) => {
            tx.rollback().await.ok();
            Err(TxError::Failed(error))
        }
    }
}
