//! Breaks `nothing-lost`: what a destructor spawns is never run when the server shuts down.

use common::shop::{Line, Order, Payment, Receipt, Refused, Shop};

#[derive(Default)]
struct Done {
    taken: Vec<Line>,
    payment: Option<Payment>,
}

impl Done {
    fn undo(self, shop: &Shop) {
        if let Some(payment) = self.payment {
            shop.refund(payment);
        }
        for line in self.taken {
            shop.put_back(line.item, line.pieces);
        }
    }
}

struct Undo {
    shop: Shop,
    done: Done,
}

impl Drop for Undo {
    fn drop(&mut self) {
        let (shop, done) = (self.shop.clone(), std::mem::take(&mut self.done));
        // As one is used to from Python: clean-up takes a while, so it gets a task.
        tokio::spawn(async move { done.undo(&shop) });
    }
}

pub async fn checkout(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let mut undo = Undo { shop: shop.clone(), done: Done::default() };
    let answered = steps(&shop, &order, &mut undo.done).await;
    if answered.is_err() {
        std::mem::take(&mut undo.done).undo(&shop);
    }
    answered
}

async fn steps(shop: &Shop, order: &Order, done: &mut Done) -> Result<Receipt, Refused> {
    for line in &order.lines {
        shop.take(line.item, line.pieces).await?;
        done.taken.push(*line);
    }
    let payment = shop.charge(order).await?;
    done.payment = Some(payment);
    shop.write(order, payment).await?;
    *done = Done::default();
    shop.mail(order).await;
    Ok(Receipt { order: order.id, payment })
}
