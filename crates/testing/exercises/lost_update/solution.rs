//! One lock, held for a moment without an await: look and hold are one step.

use common::shop::{Order, Payment, Refused, Shop};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub struct Office {
    shop: Shop,
    /// A std mutex: the compiler does not let its guard live across an await of a task that can be spawned.
    seats: Mutex<BTreeMap<u32, u32>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, seats: Mutex::default() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        self.hold(&order)?;
        // No lock is held here: the table itself says whose the seats are.
        let paid = self.shop.charge(&order).await;
        if paid.is_err() {
            self.lock().retain(|_, holder| *holder != order.id);
        }
        paid
    }

    /// All seats or none, and nobody can look in between. Not an async function, so that nobody can add an await.
    fn hold(&self, order: &Order) -> Result<(), Refused> {
        let mut seats = self.lock();
        if let Some(line) = order.lines.iter().find(|line| seats.contains_key(&line.item)) {
            return Err(Refused::SoldOut { item: line.item });
        }
        seats.extend(order.lines.iter().map(|line| (line.item, order.id)));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, u32>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
