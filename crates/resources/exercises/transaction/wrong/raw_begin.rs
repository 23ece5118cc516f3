//! Breaks `panic`: a BEGIN that is only text has no destructor: after a panic the connection goes back with a transaction on it.

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
    let mut conn = pool.acquire().await.map_err(TxError::NotBegun)?;
    sqlx::query("BEGIN").execute(&mut *conn).await.map_err(TxError::NotBegun)?;
    let error = match body(&mut conn).await {
        Ok(value) => match sqlx::query("COMMIT").execute(&mut *conn).await {
            Ok(_) => return Ok(value),
            Err(error) => TxError::NotCommitted(error),
        },
        Err(error) => TxError::Failed(error),
    };
    sqlx::query("ROLLBACK").execute(&mut *conn).await.ok();
    Err(error)
}
