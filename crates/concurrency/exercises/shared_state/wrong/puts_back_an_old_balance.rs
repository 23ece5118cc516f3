//! Breaks `whole`: what comes back is the balance of before, and with it the money that others have moved meanwhile.

use common::{Backend, backend::FetchError};
use std::sync::{Mutex, MutexGuard, PoisonError};
pub struct Bank {
    clearing: Backend,
    accounts: Mutex<Vec<i64>>,
}
struct Undo<'a> {
    bank: &'a Bank,
    account: usize,
    before: i64,
    armed: bool,
}
impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.bank.lock()[self.account] = self.before;
        }
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
        let mut undo = {
            let mut accounts = self.lock();
            let before = accounts[from];
            if before < cents {
                return Ok(false);
            }
            accounts[from] -= cents;
            drop(accounts);
            Undo { bank: self, account: from, before, armed: true }
        };
        let answer = self.clearing.fetch(id).await;
        undo.armed = false;
        self.lock()[if answer.is_ok() { to } else { from }] += cents;
        answer.map(|_| true)
    }
    pub async fn balance(&self, account: usize) -> i64 {
        self.lock()[account]
    }
}
