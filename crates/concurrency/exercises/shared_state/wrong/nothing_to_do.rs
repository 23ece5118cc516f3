//! Breaks `funded`: a transfer to itself is moved without asking, whether the money is there or not.

use common::{Backend, backend::FetchError};
use std::sync::{Mutex, MutexGuard, PoisonError};
pub struct Bank {
    clearing: Backend,
    accounts: Mutex<Vec<i64>>,
}
struct Held<'a> {
    bank: &'a Bank,
    account: usize,
    cents: i64,
}
impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bank.lock()[self.account] += self.cents;
    }
}
impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: Mutex::new(balances) }
    }
    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        // to itself: nothing to do
        if from == to {
            return Ok(true);
        }
        let mut held = {
            let mut accounts = self.lock();
            if accounts[from] < cents {
                return Ok(false);
            }
            accounts[from] -= cents;
            drop(accounts);
            Held { bank: self, account: from, cents }
        };
        self.clearing.fetch(id).await?;
        held.account = to;
        Ok(true)
    }
    pub async fn balance(&self, account: usize) -> i64 {
        self.lock()[account]
    }
}
