//! The kit at a glance: one test with its three runs.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use tokio::sync::Mutex;

type Bank = Arc<[Mutex<i64>; 2]>;

fn bank() -> Bank {
    Arc::new([Mutex::new(50), Mutex::new(50)])
}

async fn balances(bank: &Bank) -> [i64; 2] {
    [*bank[0].lock().await, *bank[1].lock().await]
}

// ANCHOR: transfer
async fn transfer(bank: Bank, from: usize, to: usize) {
    // Always the first one first: two transfers in opposite directions don't wait for each other.
    let mut first = bank[from.min(to)].lock().await;
    let mut second = bank[from.max(to)].lock().await;
    let (source, target) = if from < to { (&mut first, &mut second) } else { (&mut second, &mut first) };
    **source -= 10;
    **target += 10;
}
// ANCHOR_END: transfer

// ANCHOR: test
#[test]
fn transfers_keep_the_sum() {
    testing::sim(async |sim| {
        let bank = bank();
        sim.spawn("transfer", transfer(bank.clone(), 0, 1)).await.unwrap();
        assert_eq!(balances(&bank).await, [40, 60]);
    });
    let kept = async |bank| match balances(&bank).await {
        [50, 50] | [60, 40] => Ok(()),
        [first, second] => Err(format!("{first} and {second}")),
    };
    testing::every_await(bank, |bank| transfer(bank.clone(), 1, 0), kept).unwrap();
    testing::explore(async |schedule| {
        let bank = bank();
        let there = schedule.spawn("there", transfer(bank.clone(), 0, 1));
        let back = schedule.spawn("back", transfer(bank.clone(), 1, 0));
        there.await.unwrap();
        back.await.unwrap();
        assert_eq!(balances(&bank).await, [50, 50]);
    });
}
// ANCHOR_END: test

/// The same with its locks in the order of the arguments.
async fn in_order_of_the_arguments(bank: Bank, from: usize, to: usize) {
    let mut source = bank[from].lock().await;
    let mut target = bank[to].lock().await;
    *source -= 10;
    *target += 10;
}

#[test]
fn locks_in_the_order_of_the_arguments_are_a_deadlock_under_some_schedule() {
    let found = testing::explore::Exploration::new().check(async |schedule| {
        let bank = bank();
        let there = schedule.spawn("there", in_order_of_the_arguments(bank.clone(), 0, 1));
        let back = schedule.spawn("back", in_order_of_the_arguments(bank.clone(), 1, 0));
        there.await.unwrap();
        back.await.unwrap();
    });
    assert!(found.unwrap_err().failure.has(testing::sim::Kind::Deadlock));
}

#[test]
fn a_change_before_the_second_lock_is_lost_at_some_await() {
    let found = testing::every_await(
        bank,
        |bank| {
            let bank = bank.clone();
            async move {
                let mut source = bank[0].lock().await;
                *source -= 10;
                *bank[1].lock().await += 10;
            }
        },
        async |bank| match balances(&bank).await {
            [first, second] if first + second == 100 => Ok(()),
            [first, second] => Err(format!("{first} and {second}")),
        },
    );
    assert!(found.unwrap_err().ends_with("40 and 50"));
}
