//! Breaks `funded`: books both halves in one step, before the clearing house agrees; the money may be spent by then.

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
        let booked = {
            let mut accounts = self.lock();
            if accounts[from] < cents {
                return Ok(false);
            }
            accounts[from] -= cents;
            accounts[to] += cents;
            Booked { bank: self, from, to, cents }
        };
        self.clearing.fetch(id).await?;
        booked.stands();
        Ok(true)
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.lock()[account]
    }

    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Undone when it is dropped, as a whole.
struct Booked<'a> {
    bank: &'a Bank,
    from: usize,
    to: usize,
    cents: i64,
}

impl Booked<'_> {
    fn stands(mut self) {
        self.cents = 0;
    }
}

impl Drop for Booked<'_> {
    fn drop(&mut self) {
        let mut accounts = self.bank.lock();
        accounts[self.to] -= self.cents;
        accounts[self.from] += self.cents;
    }
}
