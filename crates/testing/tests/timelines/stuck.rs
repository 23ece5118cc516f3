//! A report of 60 ms of arithmetic beside two requests: in one poll, and in slices.

use common::{
    Recorder, Trace,
    clock::{paused, spend},
    recorder::waits_for,
};
use std::time::Duration;
use tokio::{
    task::{JoinSet, yield_now},
    time::sleep,
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ten milliseconds of arithmetic.
fn sum_up() {
    spend(ms(10));
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: between two slices the others are polled");
    // ANCHOR: right
    let report = async {
        for _slice in 0..6 {
            sum_up();
            yield_now().await;
        }
    };
    // ANCHOR_END: right
    beside_two_requests(&recorder, report).await;
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: 60 ms in one poll");
    // ANCHOR: wrong
    let report = async {
        for _slice in 0..6 {
            sum_up();
        }
    };
    // ANCHOR_END: wrong
    beside_two_requests(&recorder, report).await;
    recorder.trace()
}

async fn beside_two_requests(recorder: &Recorder, report: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = JoinSet::new();
    for (name, latency) in [("quote", ms(15)), ("stock", ms(35))] {
        tasks.spawn(recorder.lane(name, async move {
            waits_for("the database", sleep(latency)).await;
        }));
    }
    tasks.spawn(recorder.lane("report", report));
    while tasks.join_next().await.is_some() {}
}
