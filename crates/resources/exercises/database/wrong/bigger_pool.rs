//! Breaks `two`: a hundred connections move the outage to the hundred and first customer, if the database had them.

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
        Self { pool: database.pool(100, Duration::from_secs(1)), bank }
    }

    /// Has the bank charge an order, and gives the amount.
    pub async fn checkout(&self, order: u32) -> Result<u32, Failure> {
        let mut connection = self.pool.acquire().await?;
        let price = connection.fetch(&format!("price of {order}")).await;
        let discount = self.discount(order).await;
        self.bank.fetch(order).await?;
        connection.fetch(&format!("paid {order}")).await;
        Ok(price - discount)
    }

    /// What the customer need not pay.
    async fn discount(&self, order: u32) -> u32 {
        // A discount is not worth a failed sale.
        self.pool.fetch(&format!("discount of {order}")).await.unwrap_or(0)
    }
}
