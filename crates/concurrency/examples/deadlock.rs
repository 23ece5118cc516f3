//! A futurelock and two locks in two orders, each given to the kit: what it says, and how soon.
//!
//! Run with: `cargo run -p concurrency --example deadlock`

use concurrency::lock_both;
use std::{pin::pin, time::Duration, time::Instant};
use testing::{explore, explore::Exploration, sim::Simulation};
use tokio::{sync::Mutex, time::sleep, time::timeout};

const LONG: Duration = Duration::from_millis(500);

async fn back_up(journal: &Mutex<Vec<&str>>) {
    let _journal = journal.lock().await;
    sleep(10 * LONG).await;
}

// ANCHOR: futurelock
async fn order(journal: &Mutex<Vec<&str>>) {
    let mut write = pin!(async { journal.lock().await.push("order") });
    tokio::select! {
        () = &mut write => return,
        // Nobody polls `write` here. The lock is given to it all the same: it came first.
        () = sleep(LONG) => journal.lock().await.push("slow"),
    }
    write.await;
}
// ANCHOR_END: futurelock

// ANCHOR: cure
async fn cured(journal: &Mutex<Vec<&str>>) {
    let mut write = pin!(async { journal.lock().await.push("order") });
    if timeout(LONG, &mut write).await.is_err() {
        tokio::join!(write, async { journal.lock().await.push("slow") });
    }
}
// ANCHOR_END: cure

fn main() {
    let start = Instant::now();
    let journal = Mutex::default();
    let found = Simulation::new().check(async move |_| tokio::join!(back_up(&journal), order(&journal)));
    println!("{}\n", found.expect_err("a futurelock"));
    let journal = Mutex::default();
    Simulation::new().run(async move |_| tokio::join!(back_up(&journal), cured(&journal)));

    let found = Exploration::new().seeds(0..200).check(async |schedule| {
        let accounts = [Mutex::new(50), Mutex::new(50)];
        let transfer = async |from: usize, to: usize| {
            let _both = (accounts[from].lock().await, accounts[to].lock().await);
        };
        tokio::join!(schedule.perturb("there", transfer(0, 1)), schedule.perturb("back", transfer(1, 0)));
    });
    println!("{}\n", found.expect_err("locks in two orders").failure);
    explore(async |schedule| {
        let accounts = [Mutex::new(50), Mutex::new(50)];
        let transfer = async |from: usize, to: usize| drop(lock_both(&accounts[from], &accounts[to]).await);
        tokio::join!(schedule.perturb("there", transfer(0, 1)), schedule.perturb("back", transfer(1, 0)));
    });
    println!("found, and cured, in less than a minute: {}", start.elapsed().as_secs() < 60);
}
