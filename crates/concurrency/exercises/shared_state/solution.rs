//! Set aside, ask, book: two steps without an await, and a guard for the case that the second never comes.

use common::{Backend, backend::FetchError};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub struct Bank {
    clearing: Backend,
    /// A std mutex: it is locked for a moment. One for all accounts, so that there is no order in which to lock them.
    accounts: Mutex<Vec<i64>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: Mutex::new(balances) }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let Some(held) = self.hold(from, cents) else { return Ok(false) };
        // No lock is held here. Dropped, failed or panicked: `held` gives back what it holds.
        self.clearing.fetch(id).await?;
        held.book(to);
        Ok(true)
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.lock()[account]
    }

    /// Looks and takes in one step. Not an async function, so that nobody can add an await.
    fn hold(&self, from: usize, cents: i64) -> Option<Held<'_>> {
        let mut accounts = self.lock();
        if accounts[from] < cents {
            return None;
        }
        accounts[from] -= cents;
        Some(Held { bank: self, account: from, cents })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        // Nothing panics under this lock, so what is behind a poisoned one is whole.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Money on its way. Wherever it is dropped, it goes to `account`.
struct Held<'a> {
    bank: &'a Bank,
    account: usize,
    cents: i64,
}

impl Held<'_> {
    /// From here on, giving back is booking: there is no moment in which it is neither.
    fn book(mut self, to: usize) {
        self.account = to;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bank.lock()[self.account] += self.cents;
    }
}
