//! What the recorder promises, each promise a test.

use common::{
    Recorder,
    clock::{paused, spend},
    recorder::{current_lane, note, waits_for},
    trace::{By, Ending, Trace, What},
};
use std::{
    future::{pending, poll_fn},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc},
    task::yield_now,
    time::{sleep, timeout},
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn woken(trace: &Trace, lane: usize) -> Vec<(Duration, By)> {
    let events = trace.lanes[lane].events.iter();
    events
        .filter_map(|event| if let What::Woken(by) = event.what { Some((event.at, by)) } else { None })
        .collect()
}

#[test]
fn a_future_that_is_dropped_ends_as_dropped_and_at_that_moment() {
    paused(async {
        let recorder = Recorder::new("");
        assert!(timeout(ms(7), recorder.lane("slow", sleep(ms(100)))).await.is_err());
        drop(recorder.lane("never polled", pending::<()>()));
        let trace = recorder.trace();
        assert_eq!(trace.lanes[0].ending(), Some((ms(7), Ending::Dropped)));
        assert_eq!(trace.lanes[1].ending(), Some((ms(7), Ending::Dropped)));
        assert_eq!(trace.lanes[1].polls().count(), 0);
    });
}

#[test]
fn an_end_is_recorded_once() {
    paused(async {
        let recorder = Recorder::new("");
        let mut lane = Box::pin(recorder.lane("quick", async {}));
        lane.as_mut().await;
        drop(lane);
        let trace = recorder.trace();
        let ends =
            trace.lanes[0].events.iter().filter(|event| matches!(event.what, What::Finished | What::Dropped));
        assert_eq!(ends.count(), 1);
    });
}

#[test]
fn who_sends_a_message_is_who_wakes_its_receiver() {
    paused(async {
        let recorder = Recorder::new("");
        let (send, mut receive) = mpsc::channel(1);
        let receiver = recorder.lane("receiver", async move { while receive.recv().await.is_some() {} });
        let sender = recorder.lane("sender", async move {
            for n in 0..2 {
                sleep(ms(10)).await;
                send.send(n).await.unwrap();
            }
        });
        tokio::join!(receiver, sender);
        let trace = recorder.trace();
        // The second message and the end of the channel come in one poll of the sender, and are one wake-up.
        assert_eq!(woken(&trace, 0), [(ms(10), By::Lane(1)), (ms(20), By::Lane(1))]);
        assert_eq!(woken(&trace, 1), [(ms(10), By::Clock), (ms(20), By::Clock)]);
    });
}

#[test]
fn who_is_dropped_with_a_lock_in_hand_wakes_who_waits_for_it() {
    paused(async {
        let recorder = Recorder::new("");
        let lock = Mutex::new(());
        let holder = recorder.lane("holder", async {
            let _guard = lock.lock().await;
            pending::<()>().await;
        });
        let waiter = recorder.lane("waiter", async { drop(lock.lock().await) });
        let (late, ()) = tokio::join!(timeout(ms(5), holder), waiter);
        assert!(late.is_err());
        assert_eq!(woken(&recorder.trace(), 1), [(ms(5), By::Lane(0))]);
    });
}

#[test]
fn a_task_that_ends_wakes_who_awaits_its_handle() {
    paused(async {
        let recorder = Recorder::new("");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(recorder.lane("child", sleep(ms(5))));
        recorder.lane("parent", async { tasks.join_next().await }).await;
        assert_eq!(woken(&recorder.trace(), 1), [(ms(5), By::Lane(0))]);
    });
}

#[test]
fn a_lane_that_only_yields_is_woken_by_no_other_lane() {
    paused(async {
        let recorder = Recorder::new("");
        recorder.lane("yielding", async { yield_now().await }).await;
        let trace = recorder.trace();
        assert_eq!(woken(&trace, 0), [(ms(0), By::Other)]);
        assert_eq!(trace.lanes[0].polls().count(), 2);
    });
}

#[test]
fn a_waker_of_an_earlier_poll_wakes_nobody_who_has_ended() {
    paused(async {
        let recorder = Recorder::new("");
        let kept = std::cell::RefCell::new(Vec::new());
        let waits = poll_fn(|cx| {
            kept.borrow_mut().push(cx.waker().clone());
            Poll::<()>::Pending
        });
        let mut lane = Box::pin(recorder.lane("dropped", waits));
        // Two tasks, one after the other: each comes with a waker of its own.
        assert!(timeout(ms(1), &mut lane).await.is_err());
        assert!(lane.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(lane);
        for waker in kept.take() {
            waker.wake();
        }
        assert_eq!(woken(&recorder.trace(), 0), []);
    });
}

#[test]
fn processor_time_makes_a_poll_long_and_others_late() {
    paused(async {
        let recorder = Recorder::new("");
        let busy = recorder.lane("busy", async {
            sleep(ms(10)).await;
            spend(ms(30));
        });
        let punctual = recorder.lane("punctual", sleep(ms(20)));
        tokio::join!(busy, punctual);
        let trace = recorder.trace();
        assert_eq!(trace.lanes[0].polls().collect::<Vec<_>>(), [(ms(0), ms(0)), (ms(10), ms(40))]);
        assert_eq!(trace.lanes[1].ending(), Some((ms(40), Ending::Finished)));
    });
}

#[test]
fn a_panic_is_recorded_and_goes_on() {
    paused(async {
        let recorder = Recorder::new("");
        let lane = recorder.lane("bad", async {
            yield_now().await;
            std::panic::resume_unwind(Box::new(String::from("out of luck")))
        });
        let mut tasks = tokio::task::JoinSet::<()>::new();
        tasks.spawn(lane);
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
        assert_eq!(recorder.trace().lanes[0].ending(), Some((ms(0), Ending::Panicked("out of luck"))));
    });
}

#[test]
fn errors_are_told_from_values() {
    paused(async {
        let recorder = Recorder::new("");
        recorder.try_lane("fails", async { Err::<(), _>("refused") }).await.unwrap_err();
        recorder.try_lane("does not", async { Ok::<_, String>(1) }).await.unwrap();
        let trace = recorder.trace();
        assert_eq!(trace.lanes[0].ending(), Some((ms(0), Ending::Failed("refused"))));
        assert_eq!(trace.lanes[1].ending(), Some((ms(0), Ending::Finished)));
    });
}

#[test]
fn remarks_go_to_the_lane_whose_code_runs() {
    paused(async {
        let recorder = Recorder::new("");
        let inner = recorder.lane("inner", async { note("in") });
        recorder
            .lane("outer", async {
                inner.await;
                note("out");
                assert_eq!(current_lane().as_deref(), Some("outer"));
                waits_for("nothing", async {}).await;
                waits_for("a moment", sleep(ms(1))).await;
            })
            .await;
        note("nobody's");
        assert_eq!(current_lane(), None);
        let trace = recorder.trace();
        let remarks = |lane: usize| {
            let events = trace.lanes[lane].events.iter();
            events
                .filter(|event| matches!(event.what, What::Note(_) | What::Waits(_)))
                .map(|event| event.what.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(remarks(0), [What::Note("in".into())]);
        assert_eq!(remarks(1), [What::Note("out".into()), What::Waits("a moment".into())]);
    });
}
