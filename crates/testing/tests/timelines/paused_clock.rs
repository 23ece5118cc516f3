//! Three seconds for a heartbeat and a retry: slept through, and jumped over.

use common::{
    Recorder, Trace,
    clock::paused,
    recorder::{note, waits_for},
};
use std::time::Duration;
use tokio::{
    task::{JoinSet, yield_now},
    time::{advance, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

/// Each beat is due a second after the last.
async fn heartbeat() {
    for beat in 1..=3 {
        waits_for("the next beat", sleep(SECOND)).await;
        note(format!("beat {beat}"));
    }
}

/// Gives up after half a second, tries again after one more.
async fn retry() {
    for pause in [SECOND / 2, SECOND] {
        waits_for("the next try", sleep(pause)).await;
    }
}

fn tasks(recorder: &Recorder) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder.lane("heartbeat", heartbeat()));
    tasks.spawn(recorder.lane("retry", retry()));
    tasks
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: sleep(3.5 s), and the clock goes from timer to timer");
    let mut tasks = tasks(&recorder);
    let test = recorder.lane("test", async {
        yield_now().await;
        // ANCHOR: right
        sleep(3 * SECOND + SECOND / 2).await;
        // ANCHOR_END: right
    });
    test.await;
    while tasks.join_next().await.is_some() {}
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: advance(3.5 s), one jump, and whoever waits is late");
    let mut tasks = tasks(&recorder);
    let test = recorder.lane("test", async {
        yield_now().await;
        // ANCHOR: wrong
        advance(3 * SECOND + SECOND / 2).await;
        // ANCHOR_END: wrong
    });
    test.await;
    while tasks.join_next().await.is_some() {}
    recorder.trace()
}
