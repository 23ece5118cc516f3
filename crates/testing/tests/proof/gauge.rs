use crate::ms;
use common::{clock, trace::Ending};
use futures_util::{StreamExt as _, stream};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    thread,
};
use testing::{Case, every_await, proof::Gauge};
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

/// Ten calls, so many at a time.
fn ten_calls(limit: usize) -> Gauge {
    clock::paused(async {
        let gauge = Gauge::new();
        let calls = (1..=10).map(|n| gauge.hold(format!("call {n}"), sleep(ms(10))));
        stream::iter(calls).buffer_unordered(limit).count().await;
        gauge
    })
}

#[test]
fn a_serial_program_is_at_most_three_and_not_exactly_three() {
    let gauge = ten_calls(1);
    gauge.assert_at_most(3);
    let mismatch = gauge.check_peak(3).unwrap_err();
    assert_eq!(mismatch.expected, "exactly 3 in flight at the peak");
    assert_eq!(mismatch.seen, "1: one after another");
}

#[test]
fn exactly_three_are_exactly_three() {
    let gauge = ten_calls(3);
    gauge.assert_peak(3);
    gauge.assert_at_most(3);
    gauge.assert_total(10);
    gauge.assert_idle();
}

#[test]
fn one_too_many_is_told_by_both_bounds() {
    let gauge = ten_calls(4);
    assert_eq!(gauge.check_peak(3).unwrap_err().seen, "4, reached at 0 ms");
    assert_eq!(gauge.check_at_most(3).unwrap_err().seen, "4, reached at 0 ms");
}

#[test]
fn the_moment_of_the_peak_is_told() {
    clock::paused(async {
        let gauge = Gauge::new();
        let _first = gauge.enter("first");
        sleep(ms(20)).await;
        let _second = gauge.enter("second");
        sleep(ms(20)).await;
        assert_eq!(gauge.check_peak(1).unwrap_err().seen, "2, reached at 20 ms");
        assert_eq!(gauge.check_idle().unwrap_err().seen, "2 of 2 at 40 ms");
    });
}

#[test]
fn work_that_is_too_little_for_the_limit_is_told() {
    let seen = ten_calls(10).check_peak(11).unwrap_err().seen;
    assert_eq!(seen, "10, reached at 0 ms (10 entered in all, so 11 can't be reached)");
}

#[test]
fn work_that_was_forgotten_or_done_twice_is_told() {
    let gauge = ten_calls(3);
    assert_eq!(gauge.check_total(9).unwrap_err().seen, "10 entered");
    assert_eq!(gauge.check_total(11).unwrap_err().seen, "10 entered");
}

#[test]
fn a_gauge_that_nothing_entered_bounds_nothing() {
    let gauge = Gauge::new();
    assert!(gauge.check_at_most(3).unwrap_err().seen.starts_with("nothing ever entered"));
    assert!(gauge.check_peak(3).unwrap_err().seen.starts_with("nothing ever entered"));
    gauge.assert_at_most(0);
    gauge.assert_idle();
}

#[test]
fn what_nobody_polls_is_not_in_flight() {
    clock::paused(async {
        let gauge = Gauge::new();
        let made: Vec<_> = (0..5).map(|_| gauge.hold("made", sleep(ms(10)))).collect();
        assert_eq!((gauge.in_flight(), gauge.total()), (0, 0));
        drop(made);
        gauge.assert_total(0);
    });
}

#[test]
fn what_is_dropped_is_in_flight_until_its_destructors_have_run() {
    struct Looks(Gauge);
    impl Drop for Looks {
        fn drop(&mut self) {
            assert_eq!(self.0.in_flight(), 1);
        }
    }
    clock::paused(async {
        let gauge = Gauge::new();
        let looks = Looks(gauge.clone());
        let call = gauge.hold("cancelled", async move {
            let _looks = looks;
            sleep(ms(50)).await;
        });
        assert!(timeout(ms(10), call).await.is_err());
        gauge.assert_idle();
        gauge.assert_peak(1);
    });
}

#[test]
fn wherever_it_is_dropped_it_leaves() {
    let dropped = every_await(
        Gauge::new,
        |gauge| {
            let gauge = gauge.clone();
            async move {
                let _inside = gauge.enter("outer");
                gauge.hold("inner", yield_now()).await;
                sleep(ms(1)).await;
            }
        },
        async |gauge| Ok(gauge.check_idle()?),
    );
    assert_eq!(dropped, Ok(2));
}

#[test]
fn a_panic_leaves_the_gauge_and_is_drawn() {
    let gauge = Gauge::new();
    let case = Case::run("two panics", async |recorder| {
        let gauge = gauge.clone().on(&recorder);
        let mut tasks = JoinSet::new();
        let held = gauge.clone();
        tasks.spawn(async move { held.hold("held", async { panic!("no") }).await });
        tasks.spawn(async move {
            let _inside = gauge.enter("entered");
            panic!("no")
        });
        while tasks.join_next().await.is_some() {}
        recorder.trace()
    });
    let trace = case.unwrap().value;
    gauge.assert_idle();
    gauge.assert_total(2);
    let endings: Vec<_> = trace.lanes.iter().map(|lane| lane.ending().map(|(_, end)| end)).collect();
    assert_eq!(endings, [Some(Ending::Panicked("no")), Some(Ending::Dropped)]);
}

#[test]
fn a_guard_that_is_dropped_in_order_is_drawn_as_finished() {
    let trace = clock::paused(async {
        let gauge = Gauge::new();
        let inside = gauge.enter("a block");
        sleep(ms(10)).await;
        drop(inside);
        sleep(ms(10)).await;
        gauge.check_peak(9).unwrap_err().trace
    });
    assert_eq!(trace.lanes[0].ending(), Some((ms(10), Ending::Finished)));
}

#[test]
fn the_panic_names_the_line_of_the_test_and_draws() {
    let verdict = Case::run("", async |_| Gauge::new().assert_peak(3)).map(|_: Case<()>| ()).unwrap_err();
    let line = line!() - 1;
    assert!(verdict.message().contains(&format!("gauge.rs:{line}")), "{}", verdict.message());

    let gauge = ten_calls(1);
    let payload = catch_unwind(AssertUnwindSafe(|| gauge.assert_peak(3))).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("call 10") && message.contains("finished 100 ms"), "{message}");
}

#[test]
fn a_message_draws_some_lanes_and_counts_the_others() {
    clock::paused(async {
        let gauge = Gauge::new();
        for n in 0..500 {
            gauge.hold(format!("call {n}"), sleep(ms(1))).await;
        }
        let message = gauge.check_peak(3).unwrap_err().to_string();
        assert!(message.lines().count() < 40 && message.contains("and 476 more lanes"), "{message}");
    });
}

#[test]
fn a_gauge_that_was_made_outside_counts_time_from_its_first_use() {
    let gauge = Gauge::new();
    thread::sleep(ms(2));
    clock::paused(async {
        gauge.hold("inside", sleep(ms(10))).await;
        let trace = gauge.check_peak(9).unwrap_err().trace;
        assert_eq!((trace.lanes[0].born, trace.end()), (ms(0), ms(10)));
    });
}

#[test]
fn no_count_is_lost_on_several_threads() {
    let gauge = Gauge::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let inside = gauge.enter("guard");
                    thread::yield_now();
                    drop(inside);
                    let held = pin!(gauge.hold("future", async {}));
                    let ended = held.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                    assert!(ended.is_ready());
                }
            });
        }
    });
    gauge.assert_total(4000);
    gauge.assert_at_most(4);
    gauge.assert_idle();
}
