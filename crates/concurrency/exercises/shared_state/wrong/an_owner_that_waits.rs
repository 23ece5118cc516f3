//! Breaks `concurrent`: one task owns all accounts, and waits for the clearing house itself: one transfer at a time.

use common::{Backend, backend::FetchError};
use concurrency::shared_state::{Owned, Owner, own};
use futures_util::FutureExt as _;
use std::num::NonZeroUsize;

pub struct Bank {
    clearing: Backend,
    accounts: Owned<Vec<i64>>,
    _owner: Owner<Vec<i64>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        let (accounts, owner) = own(balances, NonZeroUsize::new(16).unwrap());
        Self { clearing, accounts, _owner: owner }
    }

    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let cleared = self.clearing.fetch(id);
        let moved = self.accounts.call_async(move |accounts| {
            async move {
                if accounts[from] < cents {
                    return Ok(false);
                }
                // A panic in here would take the owner along, and all accounts with it.
                std::panic::AssertUnwindSafe(cleared)
                    .catch_unwind()
                    .await
                    .unwrap_or(Err(FetchError::TimedOut { id }))?;
                accounts[from] -= cents;
                accounts[to] += cents;
                Ok(true)
            }
            .boxed()
        });
        moved.await.unwrap()
    }

    pub async fn balance(&self, account: usize) -> i64 {
        self.accounts.call(move |accounts| accounts[account]).await.unwrap()
    }
}
