//! Six jobs and a limit of three: a limiter that is right, and two that are not; the usual test accepts all of them.

use common::{Recorder, Trace, clock::paused};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use std::time::Duration;
use testing::proof::Gauge;
use tokio::time::sleep;

type Job = BoxFuture<'static, ()>;

pub(crate) fn record() -> Vec<Trace> {
    vec![
        paused(scene("right: three at a time", 3, |jobs| {
            stream::iter(jobs).buffer_unordered(3).collect().boxed()
        })),
        paused(scene("wrong: one after another", 1, |jobs| {
            stream::iter(jobs).buffer_unordered(1).collect().boxed()
        })),
        paused(scene("wrong: chunks of three, each as long as its slowest", 3, |jobs| {
            let chunk = |chunk| stream::iter(chunk).buffer_unordered(3).collect();
            stream::iter(jobs).chunks(3).for_each(chunk).boxed()
        })),
    ]
}

async fn scene(title: &str, peak: usize, run: fn(Vec<Job>) -> BoxFuture<'static, ()>) -> Trace {
    let recorder = Recorder::new(title);
    let gauge = Gauge::new().on(&recorder);
    let job = |(n, ms)| {
        let work = async move { sleep(Duration::from_millis(ms)).await };
        gauge.hold(format!("job {n}"), work).boxed()
    };
    run((1..).zip([40, 10, 20, 30, 10, 20]).map(job).collect()).await;
    // ANCHOR: naive
    assert!(gauge.peak() <= 3);
    // ANCHOR_END: naive
    assert_eq!(gauge.peak(), peak);
    recorder.trace()
}
