//! A quota of one, and two requests: in the usual order, and in a thousand others.
//!
//! Run with: `cargo run -p testing --example schedules`

use common::clock::paused;
use std::sync::Arc;
use testing::explore::{Exploration, Found, Schedule};
use tokio::sync::Mutex;

type Quota = Arc<Mutex<i32>>;

// ANCHOR: admit
async fn admit(quota: Quota) -> bool {
    if *quota.lock().await == 0 {
        return false;
    }
    *quota.lock().await -= 1;
    true
}
// ANCHOR_END: admit

// ANCHOR: mended
async fn admit_in_one_step(quota: Quota) -> bool {
    let mut left = quota.lock().await;
    if *left == 0 {
        return false;
    }
    *left -= 1;
    true
}
// ANCHOR_END: mended

// ANCHOR: explore
fn explore<F>(admit: impl Fn(Quota) -> F + Send + 'static) -> Result<usize, Box<Found>>
where
    F: Future<Output = bool> + Send + 'static,
{
    Exploration::new().check(async move |schedule: Schedule| {
        let quota = Quota::new(Mutex::new(1));
        let first = schedule.spawn("first", admit(quota.clone()));
        let second = schedule.spawn("second", admit(quota.clone()));
        let admitted = [first.await.expect("it does not panic"), second.await.expect("nor does it")];
        assert_ne!(admitted, [true, true], "both were admitted, {} left", *quota.lock().await);
    })
}
// ANCHOR_END: explore

fn main() {
    let usual = || async {
        let quota = Quota::new(Mutex::new(1));
        let (first, second) = tokio::join!(admit(quota.clone()), admit(quota.clone()));
        first && second
    };
    let wrong = (0..1000).filter(|_| paused(usual())).count();
    println!("in the usual order, both were admitted in {wrong} of 1000 runs\n");
    println!("{}\n", explore(admit).expect_err("it is not right"));
    println!("mended: right under {} schedules", explore(admit_in_one_step).expect("it is right"));
}
