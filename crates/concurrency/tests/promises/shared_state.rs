//! What `Committed` and `own` promise, and what tokio's `Mutex` does not.

use common::clock::paused;
use concurrency::shared_state::{CallError, Committed, Owned, Owner, own};
use futures_util::FutureExt as _;
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};
use testing::{every_await, explore, sim};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn mailbox(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("a mailbox has room")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

/// Two awaits in the middle: one between the halves, and one before the commit.
async fn transfer(accounts: &Committed<[i64; 2]>) {
    let mut draft = accounts.begin().await;
    draft[0] -= 10;
    sleep(ms(10)).await;
    draft[1] += 10;
    sleep(ms(10)).await;
    draft.commit();
}

#[test]
fn a_draft_dropped_at_any_await_changes_nothing_and_keeps_nobody_waiting() {
    let awaits = every_await(
        || Arc::new(Committed::new([50, 50])),
        |accounts| {
            let accounts = accounts.clone();
            async move { transfer(&accounts).await }
        },
        async |accounts| {
            let before = *accounts.snapshot();
            if before != [50, 50] && before != [40, 60] {
                return Err(format!("{before:?}"));
            }
            transfer(&accounts).await;
            let after = *accounts.snapshot();
            if after == [before[0] - 10, before[1] + 10] { Ok(()) } else { Err(format!("then {after:?}")) }
        },
    );
    assert!(awaits.unwrap() >= 3);
}

#[test]
fn one_that_is_dropped_while_it_waits_for_its_turn_gives_it_up() {
    sim(async |_| {
        let accounts = Committed::new([50, 50]);
        let first = accounts.begin().await;
        assert!(timeout(ms(5), accounts.begin()).await.is_err());
        drop(first);
        assert!(accounts.begin().now_or_never().is_some());
    });
}

#[test]
fn an_error_or_a_panic_changes_nothing_and_keeps_nobody_waiting() {
    sim(async |_| {
        let accounts = Committed::new([50, 50]);
        let refused: Result<(), &str> = async {
            let mut draft = accounts.begin().await;
            draft[0] -= 10;
            Err("declined")?;
            draft.commit();
            Ok(())
        }
        .await;
        assert_eq!(refused, Err("declined"));
        let panicked = async {
            let mut draft = accounts.begin().await;
            draft[0] -= 10;
            yield_now().await;
            resume_unwind(Box::new("cursed"));
        };
        assert!(AssertUnwindSafe(panicked).catch_unwind().await.is_err());
        assert_eq!(*accounts.snapshot(), [50, 50]);
        transfer(&accounts).await;
        assert_eq!(*accounts.snapshot(), [40, 60], "nothing is poisoned");
    });
}

#[test]
fn no_update_is_lost_under_any_schedule() {
    explore(async |schedule| {
        let counter = Arc::new(Committed::new(0));
        let tasks = (0..3).map(|n| {
            let counter = counter.clone();
            schedule.spawn(format!("task {n}"), async move {
                let mut draft = counter.begin().await;
                let read = *draft;
                yield_now().await;
                *draft = read + 1;
                draft.commit();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(*counter.snapshot(), 3);
    });
}

#[test]
fn drafts_follow_each_other_in_the_order_in_which_they_were_asked_for() {
    sim(async |_| {
        let log = Committed::new(Vec::new());
        let start = Instant::now();
        let write = async |n: u64| {
            let mut draft = log.begin().await;
            sleep(ms(10)).await;
            draft.push((n, start.elapsed()));
            draft.commit();
        };
        tokio::join!(biased; write(1), write(2), write(3));
        assert_eq!(*log.snapshot(), [(1, ms(10)), (2, ms(20)), (3, ms(30))], "one at a time");
    });
}

#[test]
fn who_reads_waits_for_no_writer_and_keeps_what_was_read() {
    sim(async |_| {
        let accounts = Committed::new([50, 50]);
        let before = accounts.snapshot();
        let mut draft = accounts.begin().await;
        draft[0] = 0;
        assert_eq!(*accounts.snapshot(), [50, 50], "a draft is nobody else's business");
        draft.commit();
        assert_eq!((*before, *accounts.snapshot()), ([50, 50], [0, 50]));
    });
}

/// Looks at the cell when it is dropped: under the cell's lock it would wait for itself.
#[derive(Clone)]
struct LooksBack(Arc<OnceLock<Weak<Committed<Self>>>>);

impl Drop for LooksBack {
    fn drop(&mut self) {
        if let Some(cell) = self.0.get().and_then(Weak::upgrade) {
            assert!(cell.value_is_there());
        }
    }
}

trait ValueIsThere {
    fn value_is_there(&self) -> bool;
}

impl ValueIsThere for Committed<LooksBack> {
    fn value_is_there(&self) -> bool {
        // Forgotten, or looking would never end.
        std::mem::forget(self.snapshot());
        true
    }
}

#[test]
fn the_destructor_of_the_old_value_runs_outside_the_lock() {
    sim(async |_| {
        let place = Arc::new(OnceLock::new());
        let cell = Arc::new(Committed::new(LooksBack(place.clone())));
        place.set(Arc::downgrade(&cell)).unwrap();
        cell.begin().await.commit();
        assert!(cell.value_is_there());
    });
}

#[test]
fn drafts_can_be_held_across_awaits_in_tasks_on_several_threads() {
    runtime().block_on(async {
        let counter = Arc::new(Committed::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let counter = counter.clone();
            tasks.spawn(async move {
                for _ in 0..250 {
                    let mut draft = counter.begin().await;
                    let read = *draft;
                    yield_now().await;
                    *draft = read + 1;
                    draft.commit();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(*counter.snapshot(), 1000);
    });
}

/// Why there is `Committed`: the page says it of tokio's own.
#[test]
fn tokios_mutex_hands_on_half_a_change() {
    paused(async {
        let accounts = tokio::sync::Mutex::new([50, 50]);
        let half = async {
            let mut accounts = accounts.lock().await;
            accounts[0] -= 10;
            sleep(ms(10)).await;
            accounts[1] += 10;
        };
        assert!(timeout(ms(5), half).await.is_err());
        assert_eq!(*accounts.lock().await, [40, 50], "unlocked, and no word of it");
    });
}

fn log(room: usize) -> (Owned<Vec<u32>>, Owner<Vec<u32>>) {
    own(Vec::new(), mailbox(room))
}

async fn slowly(log: &Owned<Vec<u32>>, n: u32) -> Result<usize, CallError> {
    log.call_async(move |log| {
        async move {
            log.push(n);
            sleep(ms(10)).await;
            log.push(n);
            log.len()
        }
        .boxed()
    })
    .await
}

#[test]
fn calls_run_one_at_a_time_in_the_order_in_which_they_came() {
    for room in [1, 2, 16] {
        sim(async move |_| {
            let (log, owner) = log(room);
            let start = Instant::now();
            let lengths =
                tokio::join!(biased; slowly(&log, 1), slowly(&log, 2), slowly(&log, 3), slowly(&log, 4));
            assert_eq!(lengths, (Ok(2), Ok(4), Ok(6), Ok(8)), "each gets its own answer");
            assert_eq!(start.elapsed(), ms(40));
            assert_eq!(owner.shutdown().await.unwrap(), [1, 1, 2, 2, 3, 3, 4, 4]);
        });
    }
}

#[test]
fn a_call_dropped_at_any_await_has_not_run_or_runs_to_its_end() {
    let awaits = every_await(
        || {
            let (log, owner) = log(1);
            // One at work and one in the mailbox, so that a third has to wait for room and for its turn.
            let (first, second) = (log.clone(), log.clone());
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move { slowly(&first, 1).await });
            tasks.spawn(async move { slowly(&second, 2).await });
            (log, owner, tasks)
        },
        |(log, ..)| {
            let log = log.clone();
            async move {
                // Behind the other two.
                yield_now().await;
                yield_now().await;
                slowly(&log, 3).await
            }
        },
        async |(log, owner, tasks)| {
            drop((log, tasks));
            let written = owner.shutdown().await.map_err(|panic| panic.to_string())?;
            match written.as_slice() {
                [1, 1, 2, 2] | [1, 1, 2, 2, 3, 3] => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 4);
}

#[test]
fn what_is_in_the_mailbox_runs_without_its_caller_and_what_waits_for_room_does_not() {
    sim(async |sim| {
        let (log, owner) = log(1);
        let mut calls: Vec<_> = (1..=3).map(|n| Box::pin(slowly(&log, n))).collect();
        // The first is taken up, the second is in the mailbox, and the third finds no room.
        for call in &mut calls {
            assert!(futures_util::poll!(call).is_pending());
            sim.settle().await;
        }
        drop(calls);
        assert_eq!(owner.shutdown().await.unwrap(), [1, 1, 2, 2]);
    });
}

#[test]
fn shutdown_drains_the_mailbox_refuses_the_rest_and_gives_the_state_back() {
    sim(async |sim| {
        let (log, owner) = log(2);
        let calls: Vec<_> = (1..=4)
            .map(|n| {
                let log = log.clone();
                sim.spawn(format!("call {n}"), async move { slowly(&log, n).await })
            })
            .collect();
        sim.settle().await;
        let state = owner.shutdown().await.unwrap();
        assert_eq!(state, [1, 1, 2, 2, 3, 3]);
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap());
        }
        assert_eq!(answers, [Ok(2), Ok(4), Ok(6), Err(CallError::Closed)]);
        assert_eq!(log.call(|log| log.len()).await, Err(CallError::Closed));
    });
}

#[test]
fn when_no_handle_is_left_the_task_ends_and_the_state_waits_for_shutdown() {
    sim(async |sim| {
        let (log, owner) = log(4);
        log.call(|log| log.push(7)).await.unwrap();
        drop(log);
        sim.settle().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        assert_eq!(owner.shutdown().await.unwrap(), [7]);
    });
}

#[test]
fn a_panic_takes_the_state_along_and_everybody_is_told() {
    for with_await in [false, true] {
        sim(async move |sim| {
            sim.expect_panic("row 7 is cursed");
            let (log, owner) = log(4);
            let (cursed, behind) = (log.clone(), log.clone());
            let cursed = sim.spawn("cursed", async move {
                if with_await {
                    let change = |log: &mut Vec<u32>| log.push(1);
                    cursed
                        .call_async(move |log| {
                            async move {
                                change(log);
                                sleep(ms(5)).await;
                                resume_unwind(Box::new("row 7 is cursed"))
                            }
                            .boxed()
                        })
                        .await
                } else {
                    // Before there is a future at all.
                    cursed.call_async::<()>(|_| resume_unwind(Box::new("row 7 is cursed"))).await
                }
            });
            let behind = sim.spawn("behind", async move { behind.call(|log| log.len()).await });
            assert_eq!(cursed.await.unwrap(), Err(CallError::Panicked));
            assert_eq!(behind.await.unwrap(), Err(CallError::Closed), "it has not run");
            assert_eq!(log.call(|log| log.len()).await, Err(CallError::Closed));
            assert_eq!(owner.shutdown().await.unwrap_err().message(), "row 7 is cursed");
        });
    }
}

#[test]
fn dropping_the_owner_aborts_it_and_says_whether_a_call_had_begun() {
    sim(async |sim| {
        let (log, owner) = log(4);
        let calls = [1, 2].map(|n| {
            let log = log.clone();
            sim.spawn(format!("call {n}"), async move { slowly(&log, n).await })
        });
        sim.settle().await;
        drop(owner);
        let [first, second] = calls;
        assert_eq!(first.await.unwrap(), Err(CallError::Interrupted));
        assert_eq!(second.await.unwrap(), Err(CallError::Closed));
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn who_was_given_room_in_the_moment_in_which_the_owner_went_is_told() {
    for panics in [false, true] {
        sim(async move |sim| {
            sim.expect_panic("cursed");
            let (log, owner) = log(1);
            let owner = Arc::new(Mutex::new(Some(owner)));
            let first = log.clone();
            let first = sim.spawn("first", async move { slowly(&first, 1).await });
            sim.settle().await;
            let (second, theirs) = (log.clone(), owner.clone());
            let second = sim.spawn("second", async move {
                let last = move |_: &mut Vec<u32>| {
                    if panics {
                        resume_unwind(Box::new("cursed"));
                    }
                    drop(theirs.lock().unwrap().take());
                };
                second.call_async(move |log| async move { (last(log), yield_now().await).0 }.boxed()).await
            });
            sim.settle().await;
            let third = sim.spawn("third", async move { slowly(&log, 3).await });
            assert_eq!(first.await.unwrap(), Ok(2));
            let expected = if panics { CallError::Panicked } else { CallError::Interrupted };
            assert_eq!(second.await.unwrap(), Err(expected));
            assert_eq!(third.await.unwrap(), Err(CallError::Closed));
        });
    }
}

#[test]
fn a_shutdown_that_is_dropped_aborts_what_is_left() {
    let awaits = every_await(
        || {
            let (log, owner) = log(4);
            let calls = (1..=2).map(|n| {
                let log = log.clone();
                async move { slowly(&log, n).await }
            });
            let mut calls: Vec<_> = calls.map(Box::pin).collect();
            let owner = Mutex::new(Some(owner));
            for call in &mut calls {
                assert!(call.as_mut().now_or_never().is_none());
            }
            (log, owner)
        },
        |(_, owner)| {
            let owner = owner.lock().unwrap().take();
            // Dropped, it has nobody to leave the task to; the sets of tasks are counted.
            async move { drop(owner.expect("once").shutdown().await) }
        },
        async |(log, _)| match log.call(|log| log.len()).await {
            Err(CallError::Closed) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    assert!(awaits.unwrap() >= 1);
    sim(async |sim| {
        let (log, owner) = log(4);
        let call = sim.spawn("call", async move { slowly(&log, 1).await });
        sim.settle().await;
        assert!(timeout(ms(3), owner.shutdown()).await.is_err(), "a limit on draining");
        assert_eq!(call.await.unwrap(), Err(CallError::Interrupted));
    });
}

#[test]
fn owners_can_be_called_and_dropped_from_several_threads() {
    runtime().block_on(async {
        let (counter, owner) = own(0_u64, mailbox(4));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let counter = counter.clone();
            tasks.spawn(async move {
                for _ in 0..250 {
                    counter.call(|counter| *counter += 1).await.unwrap();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        drop(counter);
        assert_eq!(owner.shutdown().await.unwrap(), 1000);
        // Dropped in the middle of whatever it does. Two runs in a hundred hung here: a call that was given room just before
        // the owner went, and put into the mailbox just after, is kept by tokio's channel until the last handle is dropped
        // (tokio #7714), and its caller, who has a handle, waited for the answer.
        for _ in 0..3000 {
            let (counter, owner) = own(0_u64, mailbox(4));
            let calls = tokio::task::JoinSet::from_iter((0..4).map(|_| {
                let counter = counter.clone();
                async move {
                    for _ in 0..10 {
                        match counter.call(|counter| *counter += 1).await {
                            Ok(()) => {}
                            Err(CallError::Closed | CallError::Interrupted) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }));
            yield_now().await;
            drop(owner);
            timeout(Duration::from_secs(60), calls.join_all()).await.expect("each call is told something");
        }
    });
}
