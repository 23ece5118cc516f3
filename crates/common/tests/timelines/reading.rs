//! Seven futures on one thread, one for each thing that a timeline can show.

use common::{
    Recorder, Trace,
    clock::{paused, spend},
    recorder::waits_for,
};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinSet, time::sleep};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(seven_futures())]
}

async fn seven_futures() -> Trace {
    let ms = Duration::from_millis;
    let recorder = Recorder::new("Seven futures on one thread");
    let (send, receive) = oneshot::channel();

    let reader = recorder.lane("reader", waits_for("a message", receive));
    let writer = recorder.lane("writer", async move {
        waits_for("20 ms", sleep(ms(20))).await;
        assert_eq!(send.send("hello"), Ok(()));
    });
    let refused = recorder.try_lane("refused", async move {
        waits_for("10 ms", sleep(ms(10))).await;
        Err::<(), _>("connection refused")
    });
    let broken = recorder.lane("broken", async move {
        waits_for("15 ms", sleep(ms(15))).await;
        // Like `panic!`, without the message on the terminal.
        std::panic::resume_unwind(Box::new("index out of bounds"));
    });
    let too_slow = recorder.lane("too slow", waits_for("90 ms", sleep(ms(90))));
    let computing = recorder.lane("computing", async move {
        waits_for("40 ms", sleep(ms(40))).await;
        // Thirty milliseconds of arithmetic without an await: nobody else runs.
        spend(ms(30));
        waits_for("10 ms", sleep(ms(10))).await;
    });
    let heartbeat = recorder.lane("heartbeat", async move {
        for _ in 0..3 {
            waits_for("25 ms", sleep(ms(25))).await;
        }
    });

    // Each a task of its own: with `join!` they would be one, and each would be polled whenever another is woken.
    let given_up = tokio::time::timeout(ms(30), too_slow);
    let mut tasks = JoinSet::new();
    tasks.spawn(async { assert_eq!(reader.await, Ok("hello")) });
    tasks.spawn(writer);
    tasks.spawn(async { assert!(refused.await.is_err()) });
    tasks.spawn(broken);
    tasks.spawn(async { assert!(given_up.await.is_err()) });
    tasks.spawn(computing);
    tasks.spawn(heartbeat);
    let mut panics = 0;
    while let Some(joined) = tasks.join_next().await {
        panics += usize::from(joined.is_err());
    }
    assert_eq!(panics, 1);
    recorder.trace()
}
