//! Breaks `sold-once`: between the read lock and the write lock, others look too.

use common::shop::{Order, Payment, Refused, Shop};
use std::collections::BTreeMap;
use tokio::sync::RwLock;

pub struct Office {
    shop: Shop,
    seats: RwLock<BTreeMap<u32, u32>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, seats: RwLock::default() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        {
            // Readers don't shut each other out: that is quick.
            let seats = self.seats.read().await;
            if let Some(line) = order.lines.iter().find(|line| seats.contains_key(&line.item)) {
                return Err(Refused::SoldOut { item: line.item });
            }
        }
        {
            let mut seats = self.seats.write().await;
            seats.extend(order.lines.iter().map(|line| (line.item, order.id)));
        }
        let paid = self.shop.charge(&order).await;
        if paid.is_err() {
            self.seats.write().await.retain(|_, holder| *holder != order.id);
        }
        paid
    }
}
