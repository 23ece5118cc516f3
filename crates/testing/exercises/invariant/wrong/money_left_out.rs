//! Breaks `nothing-lost`: the pieces are put back, and the customer has paid for nothing.

use common::shop::{Line, Order, Receipt, Refused, Shop};

struct Undo<'a> {
    shop: &'a Shop,
    taken: Vec<Line>,
}

impl Undo<'_> {
    fn forget(&mut self) {
        self.taken.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for line in &self.taken {
            self.shop.put_back(line.item, line.pieces);
        }
    }
}

pub async fn checkout(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let mut undo = Undo { shop: &shop, taken: Vec::new() };
    for line in &order.lines {
        shop.take(line.item, line.pieces).await?;
        undo.taken.push(*line);
    }
    let payment = shop.charge(&order).await?;
    if let Err(refused) = shop.write(&order, payment).await {
        shop.refund(payment);
        return Err(refused);
    }
    undo.forget();
    shop.mail(&order).await;
    Ok(Receipt { order: order.id, payment })
}
