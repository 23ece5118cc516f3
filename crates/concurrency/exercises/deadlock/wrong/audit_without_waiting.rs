//! Breaks `audit`: `try_lock` waits for nobody: where a sale is under way, the audit gives the beginning of the day.

use common::Backend;
use std::{pin::pin, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// How long an order may take before that is worth a line.
const PATIENCE: Duration = Duration::from_millis(100);
/// Whom an audit asks. Orders have the ids from 1 on.
const AUDITOR: u32 = 0;

/// Sells pieces.
pub struct Shop {
    backend: Backend,
    stock: Mutex<u32>,
    journal: Mutex<Vec<String>>,
}

impl Shop {
    /// Opens with so many pieces.
    pub fn new(backend: Backend, pieces: u32) -> Self {
        Self { backend, stock: Mutex::new(pieces), journal: Mutex::default() }
    }

    /// Sells one piece, and notes if that takes long.
    pub async fn order(&self, id: u32) {
        let mut sell = pin!(self.sell(id));
        if timeout(PATIENCE, &mut sell).await.is_err() {
            tokio::join!(sell, self.note(format!("order {id} is slow")));
        }
    }

    /// The pieces in stock, and the journal. The auditor sees the journal first, and takes long to read it.
    pub async fn audit(&self) -> (u32, Vec<String>) {
        let Ok(stock) = self.stock.try_lock() else { return (100, Vec::new()) };
        let journal = self.journal.lock().await;
        self.backend.fetch(AUDITOR).await.ok();
        (*stock, journal.clone())
    }

    /// Has the bank charge the order, and takes a piece.
    async fn sell(&self, id: u32) {
        let mut stock = self.stock.lock().await;
        let mut journal = self.journal.lock().await;
        self.backend.fetch(id).await.ok();
        *stock -= 1;
        journal.push(format!("order {id}"));
    }

    async fn note(&self, line: String) {
        self.journal.lock().await.push(line);
    }
}
