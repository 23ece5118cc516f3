//! Breaks `charged`: the bank is asked before anybody knows whether the seats are still there.

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
        let payment = self.shop.charge(&order).await?;
        if let Err(refused) = self.hold(&order) {
            self.shop.refund(payment);
            return Err(refused);
        }
        Ok(payment)
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
