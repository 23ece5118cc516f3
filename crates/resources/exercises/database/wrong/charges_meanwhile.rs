//! Breaks `paid`: the bank is asked while the price is still being read: quick, and of what amount?

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
        Self { pool: database.pool(2, Duration::from_secs(1)), bank }
    }

    /// Has the bank charge an order, and gives the amount.
    pub async fn checkout(&self, order: u32) -> Result<u32, Failure> {
        let amount = async {
            let mut connection = self.pool.acquire().await?;
            let price = connection.fetch(&format!("price of {order}")).await;
            Ok::<_, Failure>(price - discount(&mut connection, order).await)
        };
        let (amount, paid) = tokio::join!(amount, self.bank.fetch(order));
        let amount = amount?;
        paid?;
        self.pool.fetch(&format!("paid {order}")).await?;
        Ok(amount)
    }
}

/// What the customer need not pay.
async fn discount(connection: &mut Connection, order: u32) -> u32 {
    connection.fetch(&format!("discount of {order}")).await
}
