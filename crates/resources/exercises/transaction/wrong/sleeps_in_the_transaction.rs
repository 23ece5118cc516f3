//! Breaks `retry`: for as long as it pauses, nobody else can write.

use super::check::{TxError, is_busy};
use sqlx::{SqliteConnection, SqlitePool};
use std::time::Duration;
use tokio::time::sleep;

pub const ATTEMPTS: u32 = 3;

pub async fn in_tx<T>(
    pool: &SqlitePool,
    body: impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, TxError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut tx = pool.begin().await.map_err(TxError::NotBegun)?;
        match body(&mut tx).await {
            Ok(value) => {
                tx.commit().await.map_err(TxError::NotCommitted)?;
                return Ok(value);
            }
            // still in the transaction, with all its locks
            Err(error) if is_busy(&error) && tries < ATTEMPTS => sleep(Duration::from_millis(50)).await,
            Err(error) => {
                tx.rollback().await.ok();
                return Err(TxError::Failed(error));
            }
        }
    }
}
