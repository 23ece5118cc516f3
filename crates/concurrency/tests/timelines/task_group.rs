//! Three lookups, one of which fails while the others are under way: in a task group, and in tasks that nobody owns.

use common::{Backend, Recorder, Trace, backend::FetchError, backend::Outcome, clock::paused};
use concurrency::{TaskGroup, task_group};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

fn three_lookups(recorder: &Recorder) -> Backend {
    let ms = Duration::from_millis;
    Backend::new(recorder).on(1, ms(60), Outcome::Reply).on(2, ms(20), Outcome::Fail).on(
        3,
        ms(80),
        Outcome::Reply,
    )
}

/// What the caller does once it knows of the failure.
async fn clean_up(recorder: &Recorder) {
    recorder.lane("caller goes on", sleep(Duration::from_millis(30))).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: a task group");
    let backend = three_lookups(&recorder);
    // ANCHOR: right
    let page = async |group: TaskGroup<FetchError>| {
        let children: Vec<_> = (1..=3).map_while(|id| group.spawn(backend.fetch(id)).ok()).collect();
        let mut replies = Vec::new();
        for child in children {
            // `Err` would mean that the child was stopped; but if one fails, this body gets no further.
            replies.extend(child.await);
        }
        Ok(replies)
    };
    let failed = task_group(|group| recorder.lane("body", page(group))).await;
    clean_up(&recorder).await;
    // ANCHOR_END: right
    let failed = failed.expect_err("the second lookup fails");
    assert_eq!(failed.first.error, FetchError::Unavailable { id: 2 });
    assert_eq!((failed.cancelled, backend.in_flight()), (2, 0));
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: handles, and the first error");
    let backend = three_lookups(&recorder);
    // ANCHOR: wrong
    // As `asyncio.gather` does. A handle that is dropped lets its task run on.
    #[expect(clippy::disallowed_methods, reason = "the mistake that is shown")]
    let tasks = (1..=3).map(|id| tokio::spawn(backend.fetch(id)));
    let replies = try_join_all(tasks.map(async |task| task.await.expect("no lookup panics")));
    let failed = recorder.try_lane("try_join_all", replies).await;
    clean_up(&recorder).await;
    // ANCHOR_END: wrong
    assert!(failed.is_err());
    assert_eq!(backend.in_flight(), 2, "the caller has gone on and cleaned up");
    sleep(Duration::from_millis(50)).await;
    recorder.trace()
}
