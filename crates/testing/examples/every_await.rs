//! A transfer between two accounts, dropped at each of its awaits; then the same one, mended.
//!
//! Run with: `cargo run -p testing --example every_await`

use common::clock::paused;
use std::{future::poll_fn, pin::pin, sync::Arc};
use testing::every_await;
use tokio::sync::Mutex;

type Accounts = Arc<[Mutex<i64>; 2]>;

// ANCHOR: transfer
async fn transfer(accounts: Accounts) {
    *accounts[0].lock().await -= 10;
    *accounts[1].lock().await += 10;
}
// ANCHOR_END: transfer

// ANCHOR: mended
async fn mended(accounts: Accounts) {
    let mut source = accounts[0].lock().await;
    let mut target = accounts[1].lock().await;
    // Nobody can drop it from here on: there is no await left.
    *source -= 10;
    *target += 10;
}
// ANCHOR_END: mended

fn accounts() -> Accounts {
    Arc::new([Mutex::new(50), Mutex::new(50)])
}

// ANCHOR: invariant
async fn nothing_is_lost(accounts: Accounts) -> Result<(), String> {
    let sum = *accounts[0].lock().await + *accounts[1].lock().await;
    if sum == 100 { Ok(()) } else { Err(format!("{sum} cents in all, not 100")) }
}
// ANCHOR_END: invariant

/// How often a future gives way when nobody makes it.
async fn pauses(future: impl Future<Output = ()>) -> usize {
    let (mut future, mut pauses) = (pin!(future), 0);
    poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        pauses += usize::from(poll.is_pending());
        poll
    })
    .await;
    pauses
}

fn main() {
    println!("run as it is, the transfer gives way {} times", paused(pauses(transfer(accounts()))));
    // ANCHOR: check
    let found = every_await(accounts, |accounts| transfer(accounts.clone()), nothing_is_lost);
    println!("the transfer: {}", found.expect_err("it is not right"));
    let found = every_await(accounts, |accounts| mended(accounts.clone()), nothing_is_lost);
    println!("mended: right at each of {} awaits", found.expect("it is right"));
    // ANCHOR_END: check
}
