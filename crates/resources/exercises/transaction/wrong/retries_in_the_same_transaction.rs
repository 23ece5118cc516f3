//! Breaks `retry`: the second run finds what the first has written, and both are committed.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    let mut tx = pool.begin().await.map_err(TxError::NotBegun)?;
    let mut ended = body(&mut tx).await;
    for _ in 1..ATTEMPTS {
        match ended {
            Err(error) if is_busy(&error) => ended = body(&mut tx).await,
            _ => break,
        }
    }
    match ended {
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
