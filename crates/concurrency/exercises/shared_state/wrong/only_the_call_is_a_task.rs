//! Breaks `whole`: the call is a task that goes on; the await after it, between giving up what was held and booking it, is still there.

use common::{Backend, backend::FetchError};
use std::sync::{Mutex as Std, PoisonError};
use tokio::sync::Mutex;
pub struct Bank {
    clearing: Backend,
    accounts: Vec<Mutex<i64>>,
    back: Std<Vec<(usize, i64)>>,
}
struct Held<'a> {
    bank: &'a Bank,
    account: usize,
    cents: i64,
}
impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.cents != 0 {
            self.bank.back.lock().unwrap_or_else(PoisonError::into_inner).push((self.account, self.cents));
        }
    }
}
impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: balances.into_iter().map(Mutex::new).collect(), back: Std::default() }
    }
    async fn account(&self, n: usize) -> tokio::sync::MutexGuard<'_, i64> {
        let mut account = self.accounts[n].lock().await;
        self.back.lock().unwrap_or_else(PoisonError::into_inner).retain(|(whose, cents)| {
            if *whose == n {
                *account += cents;
            }
            *whose != n
        });
        account
    }
    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let mut held = {
            let mut source = self.account(from).await;
            if *source < cents {
                return Ok(false);
            }
            *source -= cents;
            Held { bank: self, account: from, cents }
        };
        let clearing = self.clearing.clone();
        // Not to be interrupted: the clearing house does not like it.
        match tokio::spawn(async move { clearing.fetch(id).await }).await {
            Ok(answer) => {
                answer?;
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
        held.cents = 0;
        *self.account(to).await += cents;
        Ok(true)
    }
    pub async fn balance(&self, account: usize) -> i64 {
        *self.account(account).await
    }
}
