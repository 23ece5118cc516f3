//! Breaks `concurrent`: who wants another seat of the same section waits for the bank.

use common::shop::{Order, Payment, Refused, Shop};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, MutexGuard};

type Section = BTreeMap<u32, u32>;

pub struct Office {
    shop: Shop,
    sections: Vec<Mutex<Section>>,
}

impl Office {
    pub fn new(shop: Shop) -> Self {
        Self { shop, sections: (0..4).map(|_| Mutex::default()).collect() }
    }

    pub async fn book(&self, order: Order) -> Result<Payment, Refused> {
        let mut sections = self.lock(&order).await;
        for line in &order.lines {
            if sections.iter().any(|(_, section)| section.contains_key(&line.item)) {
                return Err(Refused::SoldOut { item: line.item });
            }
        }
        for line in &order.lines {
            let number = self.number(line.item);
            for (_, section) in sections.iter_mut().filter(|(locked, _)| *locked == number) {
                section.insert(line.item, order.id);
            }
        }
        let paid = self.shop.charge(&order).await;
        if paid.is_err() {
            for (_, section) in &mut sections {
                section.retain(|_, holder| *holder != order.id);
            }
        }
        paid
    }

    async fn lock(&self, order: &Order) -> Vec<(usize, MutexGuard<'_, Section>)> {
        let mut numbers: Vec<usize> = order.lines.iter().map(|line| self.number(line.item)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut locked = Vec::new();
        for number in numbers {
            locked.push((number, self.sections[number].lock().await));
        }
        locked
    }

    fn number(&self, seat: u32) -> usize {
        seat as usize / 100 % self.sections.len()
    }
}
