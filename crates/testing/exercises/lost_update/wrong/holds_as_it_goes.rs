//! Breaks `all-or-none`: refused for its second seat, it keeps the first.

use common::shop::{Order, Payment, Refused, Shop};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub struct Office {
    shop: Shop,
    seats: Mutex<BTreeMap<u32, u32>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, seats: Mutex::default() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        self.hold(&order)?;
        let paid = self.shop.charge(&order).await;
        if paid.is_err() {
            self.lock().retain(|_, holder| *holder != order.id);
        }
        paid
    }

    fn hold(&self, order: &Order) -> Result<(), Refused> {
        let mut seats = self.lock();
        for line in &order.lines {
            if seats.contains_key(&line.item) {
                return Err(Refused::SoldOut { item: line.item });
            }
            seats.insert(line.item, order.id);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, u32>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
