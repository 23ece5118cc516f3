//! Two checkouts at once on a pool of two connections, and somebody who only looks: one connection for what belongs
//! together, and a second one within the first.

use common::{
    Recorder, Trace,
    clock::paused,
    database::{Connection, Database, Pool, PoolTimedOut},
};
use std::time::Duration;
use tokio::time::sleep;

pub(crate) fn record() -> Vec<Trace> {
    vec![
        paused(shown("right: one connection, and none while the bank is asked", 100, async |shop, order| {
            right(&shop, order).await
        })),
        paused(shown("wrong: a second connection within the first", 100, async |shop, order| {
            nested(&shop, order).await
        })),
    ]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Shop {
    recorder: Recorder,
    pool: Pool,
}

impl Shop {
    async fn bank(&self, order: u32) {
        self.recorder.lane(format!("bank {order}"), sleep(ms(40))).await;
    }
}

// ANCHOR: right
async fn right(shop: &Shop, order: u32) -> Result<u32, PoolTimedOut> {
    let amount = {
        let mut connection = shop.pool.acquire().await?;
        let price = connection.fetch(&format!("price of {order}")).await;
        price - discount(&mut connection, order).await
    };
    shop.bank(order).await;
    shop.pool.fetch(&format!("paid {order}")).await?;
    Ok(amount)
}

/// Whoever calls it has a connection, and passes it on.
async fn discount(connection: &mut Connection, order: u32) -> u32 {
    connection.fetch(&format!("discount of {order}")).await
}
// ANCHOR_END: right

// ANCHOR: wrong
async fn nested(shop: &Shop, order: u32) -> Result<u32, PoolTimedOut> {
    let mut connection = shop.pool.acquire().await?;
    let price = connection.fetch(&format!("price of {order}")).await;
    // It has one of two, and waits for another; so does whoever has the other one.
    let discount = shop.pool.fetch(&format!("discount of {order}")).await?;
    shop.bank(order).await;
    connection.fetch(&format!("paid {order}")).await;
    Ok(price - discount)
}
// ANCHOR_END: wrong

async fn shown(
    title: &str,
    acquire_timeout: u64,
    checkout: impl AsyncFn(std::sync::Arc<Shop>, u32) -> Result<u32, PoolTimedOut>,
) -> Trace {
    let recorder = Recorder::new(title);
    // Its statements are ten milliseconds of whoever runs them, and no lanes of their own.
    let pool = Database::new(&Recorder::new("")).pool(2, ms(acquire_timeout));
    let shop = std::sync::Arc::new(Shop { recorder: recorder.clone(), pool });
    let [one, two] = [1, 2].map(|order| {
        let checkout = checkout(shop.clone(), order);
        recorder.try_lane(format!("checkout {order}"), checkout)
    });
    let looks = async {
        sleep(ms(30)).await;
        recorder.try_lane("a look at order 3", shop.pool.fetch("price of 3")).await
    };
    let (_, _, _) = tokio::join!(one, two, looks);
    recorder.trace()
}
