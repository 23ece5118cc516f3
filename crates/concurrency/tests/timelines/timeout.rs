//! Three calls for one request that may take 100 ms: under one deadline, under a new timeout each, and with a timeout
//! around a task's handle. Then two things that no timeout stops.

use common::{
    Backend, Recorder, Trace,
    backend::Outcome,
    clock::{paused, spend},
};
use concurrency::{Deadline, TimedOut};
use std::{future::pending, time::Duration};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(fresh_timeouts()), paused(timed_out_handle()), paused(not_stopped())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn three_calls(recorder: &Recorder) -> Backend {
    Backend::new(recorder).on(1, ms(60), Outcome::Reply).on(2, ms(80), Outcome::Reply).on(
        3,
        ms(40),
        Outcome::Reply,
    )
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: one deadline of 100 ms for all three calls");
    let backend = three_calls(&recorder);
    // ANCHOR: right
    let deadline = Deadline::after("request", Duration::from_millis(100));
    let request = async {
        for id in 1..=3 {
            // The second gets the 40 ms that the first has left; the third is never asked.
            deadline.run(backend.fetch(id)).await?.expect("all three would answer");
        }
        Ok::<(), TimedOut>(())
    };
    // ANCHOR_END: right
    let late = recorder.try_lane("request", request).await.expect_err("100 ms are not enough");
    assert_eq!((late.limit, late.elapsed), ("request", ms(100)));
    assert_eq!(backend.calls().len(), 2);
    assert_eq!(backend.in_flight(), 0);
    recorder.trace()
}

async fn fresh_timeouts() -> Trace {
    let recorder = Recorder::new("wrong: a new timeout of 100 ms for each call");
    let backend = three_calls(&recorder);
    // ANCHOR: wrong
    let request = async {
        for id in 1..=3 {
            // No call takes longer than 100 ms. All of them together do.
            timeout(Duration::from_millis(100), backend.fetch(id)).await?.expect("all three answer");
        }
        Ok::<(), tokio::time::error::Elapsed>(())
    };
    // ANCHOR_END: wrong
    assert!(recorder.try_lane("request", request).await.is_ok());
    assert_eq!(recorder.now(), ms(180));
    recorder.trace()
}

async fn timed_out_handle() -> Trace {
    let recorder = Recorder::new("wrong: a timeout of 100 ms around the handle of a task");
    let backend = three_calls(&recorder);
    let calls = backend.clone();
    let its_task = recorder.clone();
    // ANCHOR: handle
    let request = async {
        let three = async move {
            for id in 1..=3 {
                calls.fetch(id).await.expect("all three answer");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the mistake that is shown: nobody owns this task")]
        let task = tokio::spawn(its_task.lane("its task", three));
        // What is dropped at the limit is the handle. The task is not.
        timeout(Duration::from_millis(100), task).await
    };
    // ANCHOR_END: handle
    let given_up = recorder.try_lane("request", request).await;
    assert!(given_up.is_err());
    sleep(ms(200)).await;
    assert_eq!(backend.calls().len(), 3, "the third call was made for nobody");
    recorder.trace()
}

async fn not_stopped() -> Trace {
    let recorder = Recorder::new("what no timeout stops: the server, and code that never awaits");
    let mut others = JoinSet::new();
    let (ask, asked) = oneshot::channel::<()>();
    let request = recorder.try_lane("request", async {
        let deadline = Deadline::after("request", ms(100));
        assert_eq!(ask.send(()), Ok(()));
        deadline.run(pending::<()>()).await
    });
    others.spawn(recorder.lane("its server", async move {
        assert_eq!(asked.await, Ok(()));
        sleep(ms(150)).await;
    }));
    assert!(request.await.is_err());
    assert_eq!(others.len(), 1);
    others.join_next().await;
    let computing = async {
        let deadline = Deadline::after("report", ms(10));
        deadline.run(async { spend(ms(50)) }).await?;
        deadline.check()
    };
    assert!(recorder.try_lane("report, 10 ms", computing).await.is_err());
    recorder.trace()
}
