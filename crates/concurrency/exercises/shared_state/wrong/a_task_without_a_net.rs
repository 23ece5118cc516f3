//! Breaks `whole`: a task of its own can't be dropped by the customer, but a panic still leaves it half way.

use common::{Backend, backend::FetchError};
use std::sync::{Arc, Mutex};

pub struct Bank {
    clearing: Backend,
    accounts: Arc<Mutex<Vec<i64>>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: Arc::new(Mutex::new(balances)) }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let (accounts, cleared) = (self.accounts.clone(), self.clearing.fetch(id));
        let transfer = async move {
            {
                let mut accounts = accounts.lock().unwrap();
                if accounts[from] < cents {
                    return Ok(false);
                }
                accounts[from] -= cents;
            }
            let cleared = cleared.await;
            let account = if cleared.is_ok() { to } else { from };
            accounts.lock().unwrap()[account] += cents;
            cleared.map(|_| true)
        };
        tokio::spawn(transfer).await.unwrap()
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.accounts.lock().unwrap()[account]
    }
}
