//! Breaks `concurrent`: one lock around all accounts, held while the clearing house is asked. Whole, and one at a time.

use common::{Backend, backend::FetchError};
use tokio::sync::Mutex;

pub struct Bank {
    clearing: Backend,
    accounts: Mutex<Vec<i64>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: Mutex::new(balances) }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let mut accounts = self.accounts.lock().await;
        if accounts[from] < cents {
            return Ok(false);
        }
        self.clearing.fetch(id).await?;
        // Both halves after the await: this much is right.
        accounts[from] -= cents;
        accounts[to] += cents;
        Ok(true)
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.accounts.lock().await[account]
    }
}
