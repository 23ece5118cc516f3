//! Breaks `told`: it leaves the queue to stand in it again, at its end, and who waits hears of it later than after a second.

use common::{
    Backend,
    database::{Connection, Database, Pool},
};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

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
        let amount = {
            let first = timeout(Duration::from_millis(250), self.pool.acquire());
            let mut connection = match first.await {
                Ok(connection) => connection?,
                Err(_) => self.pool.acquire().await?,
            };
            let price = connection.fetch(&format!("price of {order}")).await;
            price - discount(&mut connection, order).await
        };
        self.bank.fetch(order).await?;
        self.pool.fetch(&format!("paid {order}")).await?;
        Ok(amount)
    }
}

/// What the customer need not pay. It takes the connection and not the pool: whoever calls it has one already.
async fn discount(connection: &mut Connection, order: u32) -> u32 {
    connection.fetch(&format!("discount of {order}")).await
}
