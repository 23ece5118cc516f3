//! Breaks `usable`: what is set aside is written down apart, and struck out at the end; a transfer that is dropped has none.

use common::{Backend, backend::FetchError};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub struct Bank {
    clearing: Backend,
    books: Mutex<Books>,
}

struct Books {
    accounts: Vec<i64>,
    /// By the transfer: the account, and how much of it.
    held: BTreeMap<u32, (usize, i64)>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, books: Mutex::new(Books { accounts: balances, held: BTreeMap::new() }) }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        {
            let mut books = self.lock();
            let held: i64 =
                books.held.values().filter(|(account, _)| *account == from).map(|(_, held)| held).sum();
            if books.accounts[from] - held < cents {
                return Ok(false);
            }
            books.held.insert(id, (from, cents));
        }
        let cleared = self.clearing.fetch(id).await;
        let mut books = self.lock();
        books.held.remove(&id);
        cleared?;
        books.accounts[from] -= cents;
        books.accounts[to] += cents;
        Ok(true)
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.lock().accounts[account]
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
