//! Breaks `refused`: each of two orders gets a seat of the other's, and both step back.

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
        for (done, line) in order.lines.iter().enumerate() {
            if let Some(seat) = self.take(line.item, order.id).await {
                for held in &order.lines[..done] {
                    self.release(held.item).await;
                }
                return Err(Refused::SoldOut { item: seat });
            }
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

    async fn take(&self, seat: u32, order: u32) -> Option<u32> {
        let mut section = self.section(seat).lock().await;
        if section.contains_key(&seat) {
            return Some(seat);
        }
        section.insert(seat, order);
        None
    }

    async fn release(&self, seat: u32) {
        self.section(seat).lock().await.remove(&seat);
    }

    fn section(&self, seat: u32) -> &Mutex<BTreeMap<u32, u32>> {
        &self.sections[seat as usize / 100 % self.sections.len()]
    }
}
