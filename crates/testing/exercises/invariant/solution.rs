//! A guard undoes what was done, until the order is in the book.

use common::shop::{Line, Order, Payment, Receipt, Refused, Shop};

/// What there is to undo. Dropped with the future, on a refusal, and in a panic: the one place that has to be right.
struct Undo<'a> {
    shop: &'a Shop,
    taken: Vec<Line>,
    payment: Option<Payment>,
}

impl Undo<'_> {
    /// The order stands.
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
    let mut undo = Undo { shop: &shop, taken: Vec::new(), payment: None };
    for line in &order.lines {
        shop.take(line.item, line.pieces).await?;
        // Only now: a `take` that was dropped has taken nothing, and what is put back for it would come from nowhere.
        undo.taken.push(*line);
    }
    let payment = shop.charge(&order).await?;
    undo.payment = Some(payment);
    shop.write(&order, payment).await?;
    // The order stands from here on. An await in between would be one more at which both hold: written, and undone.
    undo.forget();
    shop.mail(&order).await;
    Ok(Receipt { order: order.id, payment })
}
