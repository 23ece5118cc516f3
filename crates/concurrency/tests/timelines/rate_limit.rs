//! Seven requests of 30 ms: at a rate and so many at once, and with a semaphore alone.

use common::{Backend, Recorder, Trace, clock::paused};
use concurrency::{Rate, RateLimit};
use futures_util::future::join_all;
use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};
use tokio::sync::Semaphore;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(sleeps())]
}

fn quick_service(recorder: &Recorder) -> Backend {
    Backend::new(recorder).latency(Duration::from_millis(30))
}

#[expect(clippy::disallowed_methods, reason = "seven of them, all at once: the limit is what is shown")]
async fn all(requests: impl Iterator<Item: Future<Output = ()>>) {
    join_all(requests).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: 20 a second, 2 after a pause, 3 in flight");
    let backend = quick_service(&recorder);
    // ANCHOR: right
    let (twenty, two) = (NonZeroU32::new(20).expect("not zero"), NonZeroU32::new(2).expect("not zero"));
    let in_flight = NonZeroUsize::new(3).expect("not zero");
    let limit = RateLimit::new(Rate::per_second(twenty).burst(two), in_flight);
    let request = async |id| {
        let permit = limit.acquire().await;
        let reply = backend.fetch(id).await;
        drop(permit);
        reply
    };
    // ANCHOR_END: right
    all((1..=7).map(|id| async move { assert!(request(id).await.is_ok()) })).await;
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: a semaphore: 3 in flight, and a hundred a second");
    let backend = quick_service(&recorder);
    // ANCHOR: wrong
    let places = Semaphore::new(3);
    let request = async |id| {
        // The quicker the service answers, the more requests a second it gets.
        let place = places.acquire().await;
        let reply = backend.fetch(id).await;
        drop(place);
        reply
    };
    // ANCHOR_END: wrong
    all((1..=7).map(|id| async move { assert!(request(id).await.is_ok()) })).await;
    recorder.trace()
}

async fn sleeps() -> Trace {
    let recorder = Recorder::new("wrong: a sleep of 50 ms after each request: 12 a second, not 20");
    let backend = quick_service(&recorder);
    // ANCHOR: sleeps
    let requests = async {
        for id in 1..=7 {
            assert!(backend.fetch(id).await.is_ok());
            // What the request took comes on top, and nobody else is held back.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // ANCHOR_END: sleeps
    requests.await;
    recorder.trace()
}
