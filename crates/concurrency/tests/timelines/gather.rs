//! Six lookups, one of which fails and one of which panics: gathered three at a time, and awaited one by one.

use common::{Backend, Recorder, Trace, backend::Outcome, clock::paused};
use concurrency::{Settled, gather};
use futures_util::FutureExt as _;
use std::{num::NonZeroUsize, panic::AssertUnwindSafe, time::Duration};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

fn six_lookups(recorder: &Recorder) -> Backend {
    let ms = Duration::from_millis;
    Backend::new(recorder)
        .on(1, ms(40), Outcome::Reply)
        .on(2, ms(10), Outcome::Fail)
        .on(3, ms(30), Outcome::Reply)
        .on(4, ms(10), Outcome::Panic)
        .on(5, ms(20), Outcome::Reply)
        .on(6, ms(20), Outcome::Reply)
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: gather, limit 3");
    let backend = six_lookups(&recorder);
    // ANCHOR: right
    let limit = NonZeroUsize::new(3).expect("three is not zero");
    let settled = recorder.lane("gather", gather(1..=6, limit, |id| backend.fetch(id))).await;
    // ANCHOR_END: right
    assert_eq!(settled.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    assert!(matches!(&settled[3], Settled::Panicked(panic) if panic.message() == "item 4 is cursed"));
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: a list of futures, awaited one by one");
    let backend = six_lookups(&recorder);
    // ANCHOR: wrong
    let calls: Vec<_> = (1..=6).map(|id| backend.fetch(id)).collect();
    let one_by_one = async {
        let mut replies = Vec::new();
        for call in calls {
            // A future runs while it is awaited, and not before: nothing overlaps here.
            replies.push(call.await);
        }
        replies
    };
    // ANCHOR_END: wrong
    // The panic of the fourth goes through the loop: the fifth and the sixth are never asked for.
    let ended = AssertUnwindSafe(recorder.lane("one by one", one_by_one)).catch_unwind().await;
    assert!(ended.is_err());
    assert_eq!(backend.calls().len(), 4);
    recorder.trace()
}
