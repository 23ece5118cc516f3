//! Five pages, of which two fail: all accounted for, and lost with the first error. Then a source that is down.

use common::{
    Backend, Recorder, Trace,
    backend::{FetchError, Outcome},
    clock::paused,
};
use concurrency::{GiveUp, Retryable, partial, partial::Failure, partial_until};
use futures_util::future::try_join_all;
use std::{num::NonZeroUsize, time::Duration};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(down())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

fn five_pages(recorder: &Recorder) -> Backend {
    Backend::new(recorder)
        .on(1, ms(40), Outcome::Reply)
        .on(2, ms(20), Outcome::Fail)
        .on(3, ms(60), Outcome::Reply)
        .on(4, ms(30), Outcome::Panic)
        .on(5, ms(50), Outcome::Reply)
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: partial, limit 5: three values, and two failures by name");
    let backend = five_pages(&recorder);
    // ANCHOR: right
    let report = partial([1, 2, 3, 4, 5], limit(5), |id| backend.fetch(*id)).await;
    let there: Vec<u32> = report.ok.iter().map(|(id, _)| *id).collect();
    assert_eq!(there, [1, 3, 5]);
    for (id, failure) in report.failed {
        match failure {
            Failure::Failed(error) => assert_eq!((id, error), (2, FetchError::Unavailable { id: 2 })),
            Failure::Panicked(panic) => assert_eq!((id, panic.message()), (4, "item 4 is cursed")),
            Failure::Cancelled | Failure::NotStarted => unreachable!("nobody stopped it"),
        }
    }
    // ANCHOR_END: right
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: try_join_all: the first error drops the four others");
    let backend = five_pages(&recorder);
    #[expect(clippy::disallowed_methods, reason = "the mistake that is shown")]
    // ANCHOR: wrong
    let pages = try_join_all((1..=5).map(|id| backend.fetch(id))).await;
    assert_eq!(pages, Err(FetchError::Unavailable { id: 2 }));
    // ANCHOR_END: wrong
    recorder.trace()
}

struct Unavailable;

impl Retryable for Unavailable {
    fn is_retryable(&self) -> bool {
        true
    }
}

async fn down() -> Trace {
    let recorder = Recorder::new("the source is down: given up after three failures in a row");
    let mut backend = Backend::new(&recorder);
    for id in 1..=50 {
        backend = backend.on(id, ms(20), Outcome::Fail);
    }
    let fetch = |id: &u32| {
        let call = backend.fetch(*id);
        async { call.await.map_err(|_| Unavailable) }
    };
    // ANCHOR: down
    let give_up = GiveUp::InARow(NonZeroUsize::new(3).expect("three is not zero"));
    let report = partial_until(give_up, 1..=50, limit(2), fetch).await;
    let asked = report.failed.iter().filter(|(_, why)| !matches!(why, Failure::NotStarted)).count();
    assert_eq!((asked, report.failed.len()), (4, 50));
    // ANCHOR_END: down
    recorder.trace()
}
