//! Breaks `unchanged`: a lock keeps others out, which is not what goes wrong, and makes them wait.

use common::shop::{Line, Order, Receipt, Refused, Shop};
use tokio::sync::Mutex;

static ONE: Mutex<()> = Mutex::const_new(());

pub async fn checkout(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let _turn = ONE.lock().await;
    steps(shop, order).await
}

async fn steps(shop: Shop, order: Order) -> Result<Receipt, Refused> {
    let mut taken: Vec<Line> = Vec::new();
    for line in &order.lines {
        if let Err(refused) = shop.take(line.item, line.pieces).await {
            put_back(&shop, &taken);
            return Err(refused);
        }
        taken.push(*line);
    }

    let payment = match shop.charge(&order).await {
        Ok(payment) => payment,
        Err(refused) => {
            put_back(&shop, &taken);
            return Err(refused);
        }
    };

    // From here on the customer has paid, and the order has to be in the book.
    if let Err(refused) = shop.write(&order, payment).await {
        shop.refund(payment);
        put_back(&shop, &taken);
        return Err(refused);
    }

    // Whether the mail is sent or not: the order stands.
    shop.mail(&order).await;
    Ok(Receipt { order: order.id, payment })
}

fn put_back(shop: &Shop, lines: &[Line]) {
    for line in lines {
        shop.put_back(line.item, line.pieces);
    }
}
