//! Breaks `free`: nobody waits for a second connection any more, but the first is kept while the bank is asked.

use common::{
    Backend,
    database::{Database, Pool},
};
use std::{error::Error, time::Duration};

/// What comes back where there is no amount.
type Failure = Box<dyn Error + Send + Sync>;

/// Sells.
pub struct Shop {
    pool: Pool,
    bank: Backend,
}

impl Shop {
    /// Opens. The database gives it two connections.
    pub fn new(database: &Database, bank: Backend) -> Self {
        Self { pool: database.pool(2, Duration::from_secs(1)), bank }
    }

    /// Has the bank charge an order, and gives the amount.
    pub async fn checkout(&self, order: u32) -> Result<u32, Failure> {
        let mut connection = self.pool.acquire().await?;
        let price = connection.fetch(&format!("price of {order}")).await;
        let discount = connection.fetch(&format!("discount of {order}")).await;
        self.bank.fetch(order).await?;
        connection.fetch(&format!("paid {order}")).await;
        Ok(price - discount)
    }
}
