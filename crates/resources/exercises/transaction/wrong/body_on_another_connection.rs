//! Breaks `connection`: the transaction is on one connection, and the body works on a second one.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    for _ in 1..ATTEMPTS {
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
    let tx = pool.begin().await.map_err(TxError::NotBegun)?;
    let mut conn = pool.acquire().await.map_err(TxError::NotBegun)?;
    match body(&mut conn).await {
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
