//! A store of two accounts with explicit transactions, and a fraud check that takes its time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

#[derive(Debug)]
struct Tables {
    committed: [i64; 2],
    open: Option<[i64; 2]>,
}

/// One connection to the store.
#[derive(Debug)]
pub struct World {
    tables: Mutex<Tables>,
}

impl World {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transaction; within one, it does nothing, as in SQL.
    pub fn begin(&self) {
        let mut tables = self.tables();
        let committed = tables.committed;
        tables.open.get_or_insert(committed);
    }

    /// Changes a balance.
    ///
    /// # Panics
    /// Outside of a transaction.
    pub fn add(&self, account: usize, amount: i64) {
        self.tables().open.as_mut().expect("begin comes first")[account] += amount;
    }

    /// Keeps what was changed.
    pub fn commit(&self) {
        let mut tables = self.tables();
        if let Some(changed) = tables.open.take() {
            tables.committed = changed;
        }
    }

    /// Forgets what was changed; without a transaction it does nothing.
    pub fn roll_back(&self) {
        self.tables().open = None;
    }

    /// Asks another service. Takes 10 ms.
    pub async fn check_for_fraud(&self) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { tables: Mutex::new(Tables { committed: [50, 50], open: None }) })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let balances = world.tables().committed;
    if balances == [40, 60] { Ok(()) } else { Err(format!("{balances:?}, not 40 and 60")) }
}

/// What must hold wherever the program is dropped: whoever has the connection next commits nothing of it.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    world.begin();
    world.commit();
    let balances = world.tables().committed;
    let sum: i64 = balances.iter().sum();
    if sum == 100 { Ok(()) } else { Err(format!("the next commit made it {balances:?}")) }
}
