//! Breaks `retry`: a violated constraint is violated the next time, too, and what the body did beside the database is done three times.

use super::check::TxError;
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    for _ in 1..ATTEMPTS {
        let ended = attempt(pool, &body).await;
        if ended.is_ok() {
            return ended;
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
