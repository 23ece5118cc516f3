//! Breaks `paid`: the amount of an order is kept from its first checkout: a price that has changed since is not seen.

use common::{
    Backend,
    database::{Connection, Database, Pool},
};
use std::{collections::HashMap, error::Error, sync::Mutex, time::Duration};

/// What comes back where there is no amount.
type Failure = Box<dyn Error + Send + Sync>;

/// Sells.
pub struct Shop {
    pool: Pool,
    bank: Backend,
    amounts: Mutex<HashMap<u32, u32>>,
}

impl Shop {
    /// Opens. The database gives it two connections.
    pub fn new(database: &Database, bank: Backend) -> Self {
        Self { pool: database.pool(2, Duration::from_secs(1)), bank, amounts: Mutex::default() }
    }

    /// Has the bank charge an order, and gives the amount.
    pub async fn checkout(&self, order: u32) -> Result<u32, Failure> {
        let known = self.amounts.lock().ok().and_then(|amounts| amounts.get(&order).copied());
        let amount = if let Some(known) = known {
            known
        } else {
            let mut connection = self.pool.acquire().await?;
            let price = connection.fetch(&format!("price of {order}")).await;
            price - discount(&mut connection, order).await
        };
        if let Ok(mut amounts) = self.amounts.lock() {
            amounts.insert(order, amount);
        }
        self.bank.fetch(order).await?;
        self.pool.fetch(&format!("paid {order}")).await?;
        Ok(amount)
    }
}

/// What the customer need not pay. It takes the connection and not the pool: whoever calls it has one already.
async fn discount(connection: &mut Connection, order: u32) -> u32 {
    connection.fetch(&format!("discount of {order}")).await
}
