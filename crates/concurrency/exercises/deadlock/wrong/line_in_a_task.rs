//! Breaks `dropped`: the line is left to a task, which writes it when its order is long gone.

use common::Backend;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// How long an order may take before that is worth a line.
const PATIENCE: Duration = Duration::from_millis(100);
/// Whom an audit asks. Orders have the ids from 1 on.
const AUDITOR: u32 = 0;

/// Sells pieces.
pub struct Shop {
    backend: Backend,
    stock: Mutex<u32>,
    journal: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    /// Opens with so many pieces.
    pub fn new(backend: Backend, pieces: u32) -> Self {
        Self { backend, stock: Mutex::new(pieces), journal: Arc::default() }
    }

    /// Sells one piece, and notes if that takes long.
    pub async fn order(&self, id: u32) {
        let mut sell = pin!(self.sell(id));
        if timeout(PATIENCE, &mut sell).await.is_err() {
            let journal = self.journal.clone();
            tokio::spawn(async move { journal.lock().await.push(format!("order {id} is slow")) });
            sell.await;
        }
    }

    /// The pieces in stock, and the journal. The auditor sees the journal first, and takes long to read it.
    pub async fn audit(&self) -> (u32, Vec<String>) {
        let stock = self.stock.lock().await;
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
}
