//! Three parts that are uploaded and entered into an index; there is no room for the second. And two that compute.

use common::{
    Backend, Recorder, Trace,
    backend::{FetchError, Outcome},
    clock::{paused, spend},
};
use concurrency::join;
use std::time::Duration;
use tokio::task::yield_now;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(computing())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn store(recorder: &Recorder) -> Backend {
    Backend::new(recorder)
        .on(1, ms(20), Outcome::Reply)
        .on(2, ms(30), Outcome::Fail)
        .on(3, ms(40), Outcome::Reply)
        .on(101, ms(40), Outcome::Reply)
        .on(103, ms(30), Outcome::Reply)
}

// ANCHOR: write
/// Uploads a part, and enters it into the index.
async fn write(backend: &Backend, part: u32) -> Result<(), FetchError> {
    backend.fetch(part).await?;
    backend.fetch(100 + part).await?;
    Ok(())
}
// ANCHOR_END: write

async fn right() -> Trace {
    let recorder = Recorder::new("right: join::all");
    let backend = &store(&recorder);
    // ANCHOR: right
    let writes = join::all((write(backend, 1), write(backend, 2), write(backend, 3)));
    let written = recorder.try_lane("join::all", writes).await;
    // ANCHOR_END: right
    let errors = written.expect_err("the second fails");
    assert_eq!((errors.first.branch, errors.rest.len()), (1, 0));
    assert_eq!(backend.calls().len(), 5);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: try_join! around writes");
    let backend = &store(&recorder);
    // ANCHOR: wrong
    let writes = async { tokio::try_join!(write(backend, 1), write(backend, 2), write(backend, 3)) };
    let written = recorder.try_lane("try_join!", writes).await;
    // ANCHOR_END: wrong
    assert!(written.is_err());
    assert_eq!(backend.in_flight(), 0, "the first is uploaded, and in no index");
    recorder.trace()
}

async fn computing() -> Trace {
    let recorder = Recorder::new("not parallel: two branches that compute");
    // ANCHOR: computing
    let compute = async |steps| {
        for _ in 0..steps {
            spend(ms(15)); // keeps the thread busy, as a computation does
            yield_now().await;
        }
    };
    let both = async {
        tokio::join!(recorder.lane("two steps", compute(2)), recorder.lane("three steps", compute(3)));
    };
    recorder.lane("join!", both).await;
    // ANCHOR_END: computing
    assert_eq!(recorder.now(), ms(75), "the sum of both");
    recorder.trace()
}
