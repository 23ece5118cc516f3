//! A bank that loses money, sometimes. Mend it. Task and rules: `cargo run`, or README.md.

use common::{Backend, backend::FetchError};
use tokio::sync::Mutex;

/// Accounts with money on them, numbered from 0.
pub struct Bank {
    /// The clearing house: `fetch(id)` asks it about a transfer. It takes its time, and may refuse.
    clearing: Backend,
    /// Cents, each account behind a lock of its own.
    accounts: Vec<Mutex<i64>>,
}

impl Bank {
    pub fn new(clearing: Backend, balances: Vec<i64>) -> Self {
        Self { clearing, accounts: balances.into_iter().map(Mutex::new).collect() }
    }

    /// Moves money from one account to another: `Ok(true)`. `Ok(false)`: there is not enough of it. An error is the
    /// clearing house's, and then nothing is moved.
    pub async fn transfer(&self, id: u32, from: usize, to: usize, cents: i64) -> Result<bool, FetchError> {
        let mut source = self.accounts[from].lock().await;
        if *source < cents {
            return Ok(false);
        }
        // Taken before the clearing house is asked, so that nobody else can spend it meanwhile.
        *source -= cents;
        if let Err(refused) = self.clearing.fetch(id).await {
            *source += cents;
            return Err(refused);
        }
        let mut target = self.accounts[to].lock().await;
        *target += cents;
        Ok(true)
    }

    /// What is on an account.
    pub async fn balance(&self, account: usize) -> i64 {
        *self.accounts[account].lock().await
    }
}
