//! Breaks `panic`: the second attempt has no destructor.

use super::check::{TxError, is_busy};
use sqlx::{Executor as _, SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    let mut ended = attempt(pool, &body).await;
    for _ in 1..ATTEMPTS {
        match &ended {
            Err(TxError::NotBegun(error) | TxError::Failed(error) | TxError::NotCommitted(error))
                if is_busy(error) => {}
            _ => break,
        }
        let mut connection = pool.acquire().await.map_err(TxError::NotBegun)?;
        connection.execute("BEGIN").await.map_err(TxError::NotBegun)?;
        ended = match body(&mut connection).await {
            Ok(value) => match connection.execute("COMMIT").await {
                Ok(_) => return Ok(value),
                Err(error) => Err(TxError::NotCommitted(error)),
            },
            Err(error) => Err(TxError::Failed(error)),
        };
        connection.execute("ROLLBACK").await.ok();
    }
    ended
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
