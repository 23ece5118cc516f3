//! Breaks `nothing-lost`: dropped at the second line, the first is off the shelf and in no guard yet.

use common::shop::{Line, Order, Payment, Receipt, Refused, Shop};

struct Undo<'a> {
    shop: &'a Shop,
    taken: Vec<Line>,
    payment: Option<Payment>,
}

impl Undo<'_> {
    fn forget(&mut self) {
        self.taken.clear();
        self.payment = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(payment) = self.payment {
            self.shop.refund(payment);
        }
        for line in &self.taken {
            self.shop.put_back(line.item, line.pieces);
        }
    }
}

pub async fn checkout(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let mut taken: Vec<Line> = Vec::new();
    for line in &order.lines {
        if let Err(refused) = shop.take(line.item, line.pieces).await {
            for line in &taken {
                shop.put_back(line.item, line.pieces);
            }
            return Err(refused);
        }
        taken.push(*line);
    }
    let mut undo = Undo { shop: &shop, taken, payment: None };
    let payment = shop.charge(&order).await?;
    undo.payment = Some(payment);
    shop.write(&order, payment).await?;
    undo.forget();
    shop.mail(&order).await;
    Ok(Receipt { order: order.id, payment })
}
