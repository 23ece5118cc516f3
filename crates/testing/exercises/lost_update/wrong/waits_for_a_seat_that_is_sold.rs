//! Breaks `ends`: it tries again until the seats are free, and a seat that is sold never is.

use common::shop::{Order, Payment, Refused, Shop};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

pub struct Office {
    shop: Shop,
    seats: Mutex<BTreeMap<u32, u32>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, seats: Mutex::default() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        while self.hold(&order).is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        let paid = self.shop.charge(&order).await;
        if paid.is_err() {
            self.lock().retain(|_, holder| *holder != order.id);
        }
        paid
    }

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
