//! Breaks `told`: half a second is enough on a good day; on a bad one customers are turned away who would have been served.

use common::{
    Backend,
    database::{Connection, Database, Pool},
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
        Self { pool: database.pool(2, Duration::from_millis(450)), bank }
    }

    /// Has the bank charge an order, and gives the amount.
    pub async fn checkout(&self, order: u32) -> Result<u32, Failure> {
        let amount = {
            let mut connection = self.pool.acquire().await?;
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
