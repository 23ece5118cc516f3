//! Breaks `sold-once`: a second look makes the gap narrower, and leaves it open.

use common::shop::{Order, Payment, Refused, Shop};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

pub struct Office {
    shop: Shop,
    sections: Vec<Mutex<BTreeMap<u32, u32>>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, sections: (0..4).map(|_| Mutex::default()).collect() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        for line in &order.lines {
            if !self.is_free(line.item).await {
                return Err(Refused::SoldOut { item: line.item });
            }
        }
        for line in &order.lines {
            if !self.is_free(line.item).await {
                return Err(Refused::SoldOut { item: line.item });
            }
        }
        for line in &order.lines {
            self.hold(line.item, order.id).await;
        }

        match self.shop.charge(&order).await {
            Ok(payment) => Ok(payment),
            Err(refused) => {
                for line in &order.lines {
                    self.release(line.item).await;
                }
                Err(refused)
            }
        }
    }

    async fn is_free(&self, seat: u32) -> bool {
        !self.section(seat).lock().await.contains_key(&seat)
    }

    async fn hold(&self, seat: u32, order: u32) {
        self.section(seat).lock().await.insert(seat, order);
    }

    async fn release(&self, seat: u32) {
        self.section(seat).lock().await.remove(&seat);
    }

    fn section(&self, seat: u32) -> &Mutex<BTreeMap<u32, u32>> {
        &self.sections[seat as usize / 100 % self.sections.len()]
    }
}
