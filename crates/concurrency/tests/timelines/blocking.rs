//! A blocking call of 40 ms, whose caller waits for 20: on the runtime's thread, behind a bulkhead, and behind a permit that
//! the caller holds.
//!
//! The paused clock stands still while a thread of `spawn_blocking` runs. So here the scene itself moves it, step by step,
//! and opens the gates at which the threads wait: what is drawn is the order of a real run, in virtual time.

use common::{
    Recorder, Trace,
    clock::{paused, spend},
};
use concurrency::{BlockingError, Bulkhead};
use futures_util::FutureExt as _;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use testing::Jobs;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking, yield_now},
    time::{MissedTickBehavior, advance, interval, sleep, timeout},
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(on_the_runtime()), paused(permit_of_the_caller())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A blocking call: a lane from the moment in which it has a thread to the one in which it gives it back.
fn read(recorder: &Recorder, jobs: &Jobs, id: u32) -> impl FnOnce() -> u32 + Send + use<> {
    let (recorder, job) = (recorder.clone(), jobs.job(id));
    move || {
        let lane = recorder.lane(format!("thread {id}"), async { job() });
        lane.now_or_never().expect("it never waits for anything but its gate, and that blocks")
    }
}

/// Lets every task run that can.
async fn turn() {
    for _ in 0..4 {
        yield_now().await;
    }
}

/// Lets virtual time pass while threads run.
async fn pass(time: u64) {
    for _ in 0..time / 10 {
        // The sleep is there before the clock moves: when it ends, every timer of that moment has fired.
        tokio::join!(sleep(ms(10)), advance(ms(10)));
        turn().await;
    }
}

/// Something that comes every 10 ms, as timers, health checks and other requests do.
async fn ticker() {
    let mut ticks = interval(ms(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..=6 {
        ticks.tick().await;
    }
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: a bulkhead for one, and one may wait");
    let jobs = Jobs::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder.lane("ticker", ticker()));
    // ANCHOR: right
    let bulkhead = Bulkhead::new(NonZeroUsize::MIN, 1);
    let call = |id| {
        let (bulkhead, read) = (bulkhead.clone(), read(&recorder, &jobs, id));
        recorder.try_lane(format!("call {id}"), async move { bulkhead.run(|_| read()).await })
    };
    let impatient = timeout(Duration::from_millis(20), call(1));
    // ANCHOR_END: right
    tasks.spawn(impatient.map(|late| assert!(late.is_err())));
    assert!(jobs.until(|ledger| ledger.started == [1]).await);
    tasks.spawn(call(2).map(|value| assert!(matches!(value, Ok(2)))));
    turn().await;
    tasks.spawn(
        call(3).map(|busy| assert!(matches!(busy, Err(BlockingError::Busy { running: 1, waiting: 1 })))),
    );
    turn().await;
    pass(40).await;
    assert_eq!(jobs.ledger().started, [1], "the caller is gone, the thread is not");
    jobs.open(1);
    assert!(jobs.until(|ledger| ledger.started == [1, 2]).await);
    pass(20).await;
    jobs.open(2);
    while tasks.join_next().await.is_some() {}
    recorder.trace()
}

async fn on_the_runtime() -> Trace {
    let recorder = Recorder::new("wrong: the blocking call on the thread of the runtime");
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder.lane("ticker", ticker()));
    yield_now().await;
    // Stands for any call that blocks for 40 ms.
    let read = || spend(ms(40));
    // ANCHOR: wrong
    let call = async { read() };
    let impatient = timeout(Duration::from_millis(20), recorder.lane("call 1", call));
    // ANCHOR_END: wrong
    impatient.await.expect("it was over before its timeout could be asked");
    while tasks.join_next().await.is_some() {}
    recorder.trace()
}

async fn permit_of_the_caller() -> Trace {
    let recorder = Recorder::new("wrong: the caller holds the permit, and goes");
    let jobs = Jobs::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder.lane("ticker", ticker()));
    let places = Arc::new(Semaphore::new(1));
    // ANCHOR: permit
    let call = |id| {
        let (places, read) = (places.clone(), read(&recorder, &jobs, id));
        recorder.lane(format!("call {id}"), async move {
            let _permit = places.acquire().await;
            spawn_blocking(read).await
        })
    };
    // ANCHOR_END: permit
    tasks.spawn(timeout(ms(20), call(1)).map(|late| assert!(late.is_err())));
    assert!(jobs.until(|ledger| ledger.started == [1]).await);
    tasks.spawn(call(2).map(|value| assert!(matches!(value, Ok(2)))));
    turn().await;
    pass(20).await;
    assert!(jobs.until(|ledger| ledger.running() == 2).await, "two threads, where one was allowed");
    pass(20).await;
    jobs.open(1);
    // Nobody awaits this thread; its lane ends a moment later than its work.
    let ended =
        || recorder.trace().lanes.iter().any(|lane| lane.name == "thread 1" && lane.ending().is_some());
    while !ended() {
        jobs.rest().await;
    }
    pass(20).await;
    jobs.open(2);
    while tasks.join_next().await.is_some() {}
    recorder.trace()
}
