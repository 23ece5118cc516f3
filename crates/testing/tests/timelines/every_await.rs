//! A checkout that is dropped while the bank is at work: with a guard for what it has taken, and without.

use common::{
    Recorder, Trace,
    clock::paused,
    shop::{Line, Order, Payment, Refused, Shop},
};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

// ANCHOR: right
struct Taken<'a>(&'a Shop, Option<Line>);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(Line { item, pieces }) = self.1 {
            self.0.put_back(item, pieces);
        }
    }
}

async fn pay(shop: &Shop, order: &Order, line: Line) -> Result<Payment, Refused> {
    shop.take(line.item, line.pieces).await?;
    let mut taken = Taken(shop, Some(line));
    let payment = shop.charge(order).await?;
    taken.1 = None;
    Ok(payment)
}
// ANCHOR_END: right

// ANCHOR: wrong
async fn pay_unguarded(shop: &Shop, order: &Order, line: Line) -> Result<Payment, Refused> {
    shop.take(line.item, line.pieces).await?;
    match shop.charge(order).await {
        Ok(payment) => Ok(payment),
        Err(refused) => {
            shop.put_back(line.item, line.pieces);
            Err(refused)
        }
    }
}
// ANCHOR_END: wrong

const LINE: Line = Line { item: 7, pieces: 2 };

fn order() -> Order {
    Order { id: 41, lines: vec![LINE], cents: 500 }
}

/// In the middle of the charge.
const GONE: Duration = Duration::from_millis(15);

async fn right() -> Trace {
    let recorder = Recorder::new("right: dropped at `charge`, a destructor puts the pieces back");
    let shop = Shop::new(&recorder).stocked(7, 10);
    let paid = timeout(GONE, recorder.lane("pay", pay(&shop, &order(), LINE))).await;
    assert!(paid.is_err());
    assert_eq!(shop.on_the_shelf(7), 10);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: dropped at `charge`, and 2 pieces are lost");
    let shop = Shop::new(&recorder).stocked(7, 10);
    let paid = timeout(GONE, recorder.lane("pay", pay_unguarded(&shop, &order(), LINE))).await;
    assert!(paid.is_err());
    assert_eq!(shop.on_the_shelf(7), 8);
    recorder.trace()
}
