//! Breaks `retry`: busy is an error like any other to it.

use super::check::TxError;
use sqlx::{SqliteConnection, SqlitePool};

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
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
