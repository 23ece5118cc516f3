//! Breaks `nothing-lost`: it looks after its own time limit, and not after a caller that goes away.

use common::shop::{Line, Order, Payment, Receipt, Refused, Shop};
use std::time::Duration;
use tokio::time::timeout;

pub async fn checkout(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let (mut taken, mut paid) = (Vec::new(), None);
    let ended = timeout(Duration::from_secs(30), steps(&shop, &order, &mut taken, &mut paid)).await;
    match ended {
        Ok(Ok(receipt)) => Ok(receipt),
        Ok(Err(refused)) => {
            undo(&shop, &taken, paid);
            Err(refused)
        }
        Err(_) => {
            undo(&shop, &taken, paid);
            Err(Refused::Unwritten { order: order.id })
        }
    }
}

async fn steps(
    shop: &Shop,
    order: &Order,
    taken: &mut Vec<Line>,
    paid: &mut Option<Payment>,
) -> Result<Receipt, Refused> {
    for line in &order.lines {
        shop.take(line.item, line.pieces).await?;
        taken.push(*line);
    }
    let payment = shop.charge(order).await?;
    *paid = Some(payment);
    shop.write(order, payment).await?;
    shop.mail(order).await;
    Ok(Receipt { order: order.id, payment })
}

fn undo(shop: &Shop, taken: &[Line], paid: Option<Payment>) {
    if let Some(payment) = paid {
        shop.refund(payment);
    }
    for line in taken {
        shop.put_back(line.item, line.pieces);
    }
}
