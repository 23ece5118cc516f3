//! Two customers and one seat, under a schedule in which the first gives way after its look.

use common::{
    Trace,
    shop::{Order, Shop},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex as StdMutex},
};
use testing::explore::{Exploration, Schedule};
use tokio::sync::Mutex;

pub(crate) fn record() -> Vec<Trace> {
    let (seed, wrong) = wrong();
    vec![right(seed), wrong]
}

type Free = Arc<Mutex<BTreeSet<u32>>>;
const SEAT: u32 = 11;

// ANCHOR: right
async fn book(free: Free, shop: Shop, order: Order) -> bool {
    free.lock().await.remove(&SEAT) && shop.charge(&order).await.is_ok()
}
// ANCHOR_END: right

// ANCHOR: wrong
async fn book_in_two_steps(free: Free, shop: Shop, order: Order) -> bool {
    if !free.lock().await.contains(&SEAT) {
        return false;
    }
    free.lock().await.remove(&SEAT);
    shop.charge(&order).await.is_ok()
}
// ANCHOR_END: wrong

/// How many of two customers get the seat.
async fn rush<F>(schedule: &Schedule, book: impl Fn(Free, Shop, Order) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let shop = Shop::new(schedule.sim().recorder());
    let free = Free::new(Mutex::new(BTreeSet::from([SEAT])));
    let tasks: Vec<_> = [1, 2]
        .map(|id| Order { id, lines: Vec::new(), cents: 4500 })
        .map(|order| schedule.spawn(format!("book {}", order.id), book(free.clone(), shop.clone(), order)))
        .into();
    let mut got = 0;
    for task in tasks {
        got += usize::from(task.await.expect("a booking does not panic"));
    }
    got
}

/// The first schedule under which both get it, in its shortest form.
fn wrong() -> (u64, Trace) {
    let found = Exploration::new()
        .check(async |schedule| assert_eq!(rush(&schedule, book_in_two_steps).await, 1))
        .expect_err("both get the seat under some schedule");
    let mut trace = found.failure.trace;
    trace.title = String::from("wrong: look, give way, take: both pay for the seat");
    (found.seed, trace)
}

/// The same schedule.
fn right(seed: u64) -> Trace {
    let recorded = Arc::new(StdMutex::new(None));
    let record = recorded.clone();
    Exploration::new()
        .seeds(seed..seed + 1)
        .check(async move |schedule| {
            assert_eq!(rush(&schedule, book).await, 1);
            *record.lock().expect("nobody panics") = Some(schedule.sim().recorder().trace());
        })
        .expect("one step is right under every schedule");
    let mut trace = recorded.lock().expect("nobody panics").take().expect("it was recorded");
    trace.title = String::from("right: look and take are one step");
    trace
}
