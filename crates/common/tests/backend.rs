//! What the scripted backend promises, each promise a test.

use common::{
    Backend, Recorder,
    backend::{CallEnd, FetchError, Gap, Outcome},
    clock::paused,
    trace::Ending,
};
use futures_util::FutureExt as _;
use std::{panic::AssertUnwindSafe, time::Duration};
use testing::every_await;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn each_call_ends_as_scripted_and_when_scripted() {
    paused(async {
        let recorder = Recorder::new("");
        let backend = Backend::new(&recorder)
            .on(1, ms(20), Outcome::Reply)
            .on(2, ms(5), Outcome::Fail)
            .on(3, ms(5), Outcome::TimeOut)
            .on(4, ms(5), Outcome::Panic)
            .on(5, ms(5), Outcome::Hang);
        assert_eq!(backend.fetch(1).await.unwrap().body, "item 1");
        assert_eq!(backend.fetch(2).await.unwrap_err(), FetchError::Unavailable { id: 2 });
        assert_eq!(backend.fetch(3).await.unwrap_err(), FetchError::TimedOut { id: 3 });
        assert!(AssertUnwindSafe(backend.fetch(4)).catch_unwind().await.is_err());
        assert!(timeout(ms(1000), backend.fetch(5)).await.is_err());
        assert_eq!(backend.fetch(6).await.unwrap().id, 6, "ten milliseconds, for an id without a script");
        let ends: Vec<_> = backend.calls().iter().map(|call| call.ended.unwrap()).collect();
        assert_eq!(
            ends,
            [
                (ms(20), CallEnd::Replied),
                (ms(25), CallEnd::Failed),
                (ms(30), CallEnd::Failed),
                (ms(35), CallEnd::Panicked),
                (ms(1035), CallEnd::Dropped),
                (ms(1045), CallEnd::Replied),
            ]
        );
        let trace = recorder.trace();
        let lanes: Vec<_> = trace.lanes.iter().map(|lane| lane.ending().unwrap().1).collect();
        assert!(matches!(
            lanes.as_slice(),
            [
                Ending::Finished,
                Ending::Failed(_),
                Ending::Failed(_),
                Ending::Panicked(_),
                Ending::Dropped,
                Ending::Finished
            ]
        ));
    });
}

#[test]
fn a_future_that_nobody_polls_asks_nobody() {
    paused(async {
        let backend = Backend::new(&Recorder::new(""));
        drop(backend.fetch(1));
        assert!(backend.calls().is_empty());
    });
}

#[test]
fn peaks_count_what_was_there_at_once() {
    paused(async {
        let backend = Backend::new(&Recorder::new(""));
        let mut tasks = JoinSet::new();
        for id in 0..5 {
            tasks.spawn(backend.fetch(id));
        }
        sleep(ms(5)).await;
        assert_eq!(backend.in_flight(), 5);
        tasks.join_all().await;
        assert!(backend.fetch(9).await.is_ok());
        assert_eq!((backend.in_flight(), backend.peak(), backend.peak_tasks()), (0, 5, 5));
    });
}

#[test]
fn a_meeting_holds_calls_back_until_enough_are_there() {
    paused(async {
        let backend = Backend::new(&Recorder::new("")).meeting_of(2);
        let start = Instant::now();
        assert!(timeout(ms(500), backend.fetch(1)).await.is_err());
        let (one, two) = tokio::join!(backend.fetch(1), backend.fetch(2));
        assert!(one.is_ok() && two.is_ok());
        assert!(start.elapsed() <= ms(510));
    });
}

#[test]
fn a_gap_is_the_first_moment_with_room_to_spare_and_work_to_come() {
    paused(async {
        let recorder = Recorder::new("");
        let backend = Backend::new(&recorder);
        let (one, two) = tokio::join!(backend.fetch(1), backend.fetch(2));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(backend.first_gap(2), None, "nothing was to come");
        assert!(backend.fetch(3).await.is_ok());
        assert_eq!(backend.first_gap(2), None, "two in flight, and the third at once when they had ended");
        assert_eq!(backend.first_gap(3), Some(Gap { at: ms(0), in_flight: 2, to_come: 1 }));
        sleep(ms(1)).await;
        assert!(backend.fetch(4).await.is_ok());
        assert_eq!(backend.first_gap(1), Some(Gap { at: ms(20), in_flight: 0, to_come: 1 }));
    });
}

#[test]
fn a_call_that_is_dropped_at_any_await_is_closed_in_the_ledger() {
    let awaits = every_await(
        || Backend::new(&Recorder::new("")).meeting_of(1),
        |backend| {
            let call = backend.fetch(1);
            async { drop(call.await) }
        },
        async |backend| match backend.calls().first().and_then(|call| call.ended) {
            Some((_, CallEnd::Replied | CallEnd::Dropped)) if backend.in_flight() == 0 => Ok(()),
            other => Err(format!("{other:?}, {} in flight", backend.in_flight())),
        },
    );
    assert!(awaits.unwrap() >= 1);
}

#[test]
fn places_are_given_in_order_and_kept_by_who_is_not_polled() {
    paused(async {
        let recorder = Recorder::new("");
        let backend = Backend::new(&recorder).places(1);
        let mut first = Box::pin(backend.fetch(1));
        let mut second = Box::pin(backend.fetch(2));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert!(first.await.is_ok());
        // The place is the second's now, which is not polled.
        assert!(timeout(ms(500), backend.fetch(3)).await.is_err());
        drop(second);
        assert!(backend.fetch(4).await.is_ok());
        assert_eq!(recorder.now(), ms(10 + 500 + 10));
    });
}
