//! Three replicas, of which one is slow and one is down: hedged, and as `asyncio.wait` would have it.

use common::{Backend, Recorder, Trace, backend::Outcome, clock::paused};
use concurrency::first;
use std::{num::NonZeroUsize, time::Duration};
use tokio::time::sleep;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

fn three_replicas(recorder: &Recorder) -> Backend {
    let ms = Duration::from_millis;
    Backend::new(recorder).on(1, ms(90), Outcome::Reply).on(2, ms(10), Outcome::Fail).on(
        3,
        ms(20),
        Outcome::Reply,
    )
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: the next after 30 ms, or at once when one fails");
    let backend = three_replicas(&recorder);
    // ANCHOR: right
    let two = NonZeroUsize::new(2).expect("two is not zero");
    let calls = (1..=3).map(|replica| backend.fetch(replica));
    let hedged = first::of(calls).hedged(Duration::from_millis(30), two).success();
    // ANCHOR_END: right
    let (attempt, reply) = recorder.try_lane("first", hedged).await.expect("the third replies");
    assert_eq!((attempt, reply.id, backend.in_flight()), (2, 3, 0));
    sleep(Duration::from_millis(40)).await;
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder =
        Recorder::new("wrong: tasks in a `select!`: the first to end is an error, and the others run on");
    let backend = three_replicas(&recorder);
    let ask = |replica| {
        #[expect(clippy::disallowed_methods, reason = "the mistake that is shown: nobody owns these tasks")]
        tokio::spawn(backend.fetch(replica))
    };
    // ANCHOR: wrong
    let race = async {
        let (mut one, mut two, mut three) = (ask(1), ask(2), ask(3));
        // Three requests for each answer, and which branch is taken says who ended, not who has a reply.
        tokio::select! {
            ended = &mut one => ended,
            ended = &mut two => ended,
            ended = &mut three => ended,
        }
        .expect("no call panics")
    };
    // ANCHOR_END: wrong
    let refused = recorder.try_lane("select!", race).await;
    assert!(refused.is_err());
    assert_eq!(backend.in_flight(), 2, "the losers have not been told");
    sleep(Duration::from_millis(90)).await;
    recorder.trace()
}
