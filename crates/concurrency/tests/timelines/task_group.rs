//! Three lookups, one of which fails while the others are under way: in a task group, and in tasks that nobody owns.

use common::{Backend, Recorder, Trace, backend::FetchError, backend::Outcome, clock::paused};
use concurrency::{GroupClosed, Stopped, task_group};
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

// ANCHOR: error
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// `spawn` refuses when the group is closed, or is stopping.
    #[error(transparent)]
    Closed(#[from] GroupClosed),
    /// A child was aborted through its handle.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
// ANCHOR_END: error

/// What the caller does once it knows of the failure.
async fn goes_on(recorder: &Recorder) {
    recorder.lane("caller goes on", sleep(Duration::from_millis(30))).await;
}

/// What the body does in its own task, while its children are at work.
async fn lays_out(recorder: &Recorder) {
    recorder.lane("body", sleep(Duration::from_millis(50))).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: a task group");
    let backend = three_lookups(&recorder);
    let fetch = |id| {
        let call = backend.fetch(id);
        async { Ok(call.await?.body) }
    };
    // ANCHOR: right
    let page = task_group(async |group| {
        let user = group.spawn(fetch(1))?;
        let orders = group.spawn(fetch(2))?;
        let stock = group.spawn(fetch(3))?;
        lays_out(&recorder).await;
        Ok::<_, PageError>([user.await?, orders.await?, stock.await?])
    });
    let page = recorder.try_lane("task_group", page).await;
    goes_on(&recorder).await;
    // ANCHOR_END: right
    let failed = page.expect_err("the second lookup fails");
    assert!(matches!(failed.first.error, PageError::Fetch(FetchError::Unavailable { id: 2 })));
    assert_eq!((failed.first.origin, failed.cancelled), (task_group::Origin::Child(1), 2));
    assert!(failed.rest.is_empty() && backend.in_flight() == 0);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: handles, and the first error");
    let backend = three_lookups(&recorder);
    // ANCHOR: wrong
    // As `asyncio.gather` does. A handle that is dropped lets its task run on.
    #[expect(clippy::disallowed_methods, reason = "the mistake that is shown")]
    let tasks = (1..=3).map(|id| tokio::spawn(backend.fetch(id)));
    #[expect(clippy::disallowed_methods, reason = "for three it is not wrong; the handles are")]
    let replies = try_join_all(tasks.map(async |task| task.await.expect("no lookup panics")));
    let failed = recorder.try_lane("try_join_all", replies).await;
    goes_on(&recorder).await;
    // ANCHOR_END: wrong
    assert!(failed.is_err());
    assert_eq!(backend.in_flight(), 2, "they run on without an owner");
    sleep(Duration::from_millis(50)).await;
    recorder.trace()
}
