//! Breaks `whole`: what was taken is given back when the clearing house refuses, and not when the transfer is dropped.

use common::{Backend, backend::FetchError};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub struct Bank {
    clearing: Backend,
    accounts: Mutex<Vec<i64>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: Mutex::new(balances) }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        {
            let mut accounts = self.lock();
            if accounts[from] < cents {
                return Ok(false);
            }
            accounts[from] -= cents;
        }
        let cleared = self.clearing.fetch(id).await;
        let account = if cleared.is_ok() { to } else { from };
        self.lock()[account] += cents;
        cleared.map(|_| true)
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.lock()[account]
    }

    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
