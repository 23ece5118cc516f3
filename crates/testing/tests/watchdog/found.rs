//! Stalls, each found once and told in words.

use crate::work::{LIMIT, LONG, Told, compute, many, ms, one, spin, stalls};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use testing::{
    Watchdog,
    watchdog::{Doing, Stall, labelled, observe, observe_on},
};
use tokio::{
    runtime::Builder,
    task::{JoinSet, block_in_place, yield_now},
};

/// Runs `task` as a task on each flavour, after it was once suspended, and gives the one stall that it makes.
fn the_stall<F: Future<Output = ()> + Send + 'static>(task: impl Fn(Told) -> F) -> [Stall; 2] {
    [one(), many(2)].map(|mut builder| {
        let mut stalls = stalls(&mut builder, async |told| {
            let task = task(told);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                yield_now().await;
                task.await;
            });
            tasks.join_all().await;
        });
        assert_eq!(stalls.len(), 1, "{stalls:?}");
        stalls.remove(0)
    })
}

#[test]
fn a_blocking_sleep_is_told_with_its_call_and_its_label() {
    let [one, other] = the_stall(|told| labelled("render", async move { told.sleep(1) }));
    let line = line!() - 1;
    assert!(one.sure);
    for stall in [one, other] {
        assert!(stall.lasted >= LIMIT, "{stall:?}");
        assert_eq!(stall.label.unwrap().name, "render");
        let told = stall.to_string();
        assert!(told.starts_with(&format!("worker {} has been stuck for ", stall.worker)), "{told}");
        assert!(
            told.contains(&format!("in `render` (crates/testing/tests/watchdog/found.rs:{line})")),
            "{told}"
        );
        if cfg!(target_os = "linux") {
            assert!(matches!(&stall.doing, Doing::Blocked { .. }), "{stall:?}");
            assert!(stall.thread.is_some());
        }
    }
}

#[test]
fn the_call_that_blocks_is_named() {
    // Without an end in the middle of it, at which it would be in no call.
    let (_, stalls) = observe(LIMIT, async { thread::sleep(4 * LONG) });
    assert_eq!(stalls.len(), 1);
    if cfg!(target_os = "linux") {
        assert!(matches!(&stalls[0].doing, Doing::Blocked { in_call: Some(_) }), "{}", stalls[0]);
    }
}

#[test]
fn a_computation_is_told_as_one() {
    for stall in the_stall(|told| async move { told.until(1, || compute(ms(5))) }) {
        assert_eq!(stall.label, None);
        if cfg!(target_os = "linux") {
            assert_eq!(stall.doing, Doing::Computing, "{stall}");
        }
    }
}

#[test]
fn a_lock_that_another_thread_holds_is_a_blocking_call() {
    let stalls = the_stall(|told| {
        let lock = Arc::new(Mutex::new(()));
        async move {
            let (locked, is_locked) = mpsc::channel();
            let theirs = lock.clone();
            let other = thread::spawn(move || {
                let _held = theirs.lock().unwrap();
                locked.send(()).unwrap();
                told.sleep(1);
            });
            is_locked.recv().unwrap();
            drop(lock.lock().unwrap());
            other.join().unwrap();
        }
    });
    for stall in stalls {
        assert!(cfg!(not(target_os = "linux")) || matches!(stall.doing, Doing::Blocked { .. }), "{stall}");
    }
}

#[test]
fn the_future_given_to_block_on_is_watched_on_a_current_thread_runtime() {
    let (value, stalls) = observe(LIMIT, async {
        // In its first poll, before any park.
        thread::sleep(4 * LONG);
        7
    });
    assert_eq!((value, stalls.len()), (7, 1));
}

#[test]
fn of_nested_labels_the_innermost_is_told_and_the_outer_one_comes_back() {
    let stalls = stalls(&mut one(), async |told| {
        labelled("outer", async {
            told.sleep(1);
            yield_now().await;
            labelled("inner", async {
                yield_now().await;
                told.sleep(2);
            })
            .await;
            let panicked = labelled("panics", async { panic!("on purpose") });
            let mut panicked = Box::pin(panicked);
            let poll = AssertUnwindSafe(|| {
                let _: Poll<()> = panicked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            });
            assert!(catch_unwind(poll).is_err());
            yield_now().await;
            told.sleep(3);
        })
        .await;
        yield_now().await;
        told.sleep(4);
    });
    let names: Vec<_> = stalls.iter().map(|stall| stall.label.map(|label| label.name)).collect();
    assert_eq!(names, [Some("outer"), Some("inner"), Some("outer"), None]);
}

#[test]
fn the_same_name_at_another_place_is_another_label() {
    let [one, other] =
        [format!("{:?}", labelled("same", async {})), format!("{:?}", labelled("same", async {}))];
    assert!(one.contains("same") && one != other, "{one} {other}");
}

#[test]
fn a_destructor_that_blocks_has_the_label_of_its_future() {
    struct Slow(Told);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.sleep(1);
        }
    }
    let stalls = stalls(&mut one(), async |told| {
        let slow = Slow(told);
        let mut waits = Box::pin(labelled("connection", async move {
            let _slow = slow;
            std::future::pending::<()>().await;
        }));
        tokio::select! {
            biased;
            () = &mut waits => {}
            () = yield_now() => {}
        }
        drop(waits);
        yield_now().await;
    });
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    assert_eq!(stalls[0].label.unwrap().name, "connection");
}

#[test]
fn a_stall_is_reported_while_it_lasts_and_only_once_and_its_length_grows() {
    let (told, tells) = mpsc::channel();
    let setup = Watchdog::limit(LIMIT).on_stall(move |stall| told.send(stall.clone()).unwrap());
    let runtime = one().build().unwrap();
    let watchdog = setup.start(runtime.handle()).unwrap();
    let first = runtime.block_on(watchdog.root(async {
        let first = tells.recv_timeout(40 * LONG).unwrap();
        let begun = Instant::now();
        while watchdog.stalls()[0].lasted < first.lasted + LONG && begun.elapsed() < 40 * LONG {
            thread::sleep(ms(20));
        }
        first
    }));
    let stalls = watchdog.stalls();
    assert_eq!((stalls.len(), watchdog.count()), (1, 1));
    assert!(stalls[0].lasted >= first.lasted + LONG, "{stalls:?}");
    drop(watchdog);
    assert_eq!(tells.iter().count(), 0);
}

#[test]
fn a_report_that_panics_does_not_end_the_watch() {
    let (told, tells) = mpsc::channel();
    let setup = Watchdog::limit(LIMIT).on_stall(move |_| {
        told.send(()).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"))
    });
    let runtime = one().build().unwrap();
    let watchdog = setup.start(runtime.handle()).unwrap();
    runtime.block_on(watchdog.root(async {
        for _ in 0..2 {
            tells.recv_timeout(40 * LONG).unwrap();
            tokio::time::sleep(ms(20)).await;
        }
    }));
    assert_eq!(watchdog.count(), 2);
}

#[test]
fn each_worker_that_is_stuck_is_told() {
    let stalls = stalls(&mut many(3), async |told| {
        let mut tasks = JoinSet::new();
        for name in ["first", "second"] {
            let told = told.clone();
            tasks.spawn(labelled(name, async move { told.sleep(2) }));
        }
        tasks.join_all().await
    });
    let mut names: Vec<_> = stalls.iter().map(|stall| stall.label.unwrap().name).collect();
    names.sort_unstable();
    assert_eq!(names, ["first", "second"]);
    assert_ne!(stalls[0].worker, stalls[1].worker);
}

#[test]
fn a_worker_that_moved_to_another_thread_is_not_told_for_certain() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let stalls = stalls(&mut many(1), async |told| {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut other = JoinSet::new();
            let theirs = told.clone();
            // Queued behind this one, it is polled first thing by the thread that takes the worker over.
            other.spawn(async move { theirs.until(1, || compute(ms(5))) });
            block_in_place(|| told.sleep(1));
            other.join_all().await;
        });
        tasks.join_all().await
    });
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    assert!(!stalls[0].sure);
    assert!(stalls[0].to_string().contains("probably"), "{}", stalls[0]);
}

#[test]
fn a_row_of_long_polls_is_a_stall_and_with_an_event_interval_of_one_it_is_none() {
    let busy = async || {
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            tasks.spawn(async {
                for _ in 0..60 {
                    spin(ms(5));
                    // Back into the queue; `yield_now` has the runtime look for events first.
                    let mut woken = false;
                    std::future::poll_fn(|cx| {
                        if std::mem::replace(&mut woken, true) {
                            return Poll::Ready(());
                        }
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                }
            });
        }
        tasks.join_all().await
    };
    let stalls = |builder: &mut Builder| observe_on(builder, LIMIT, busy()).1.len();
    assert!(stalls(&mut one()) >= 1);
    assert_eq!(stalls(one().event_interval(1)), 0);
}

#[test]
fn it_stops_at_once_however_long_its_limit_is() {
    let runtime = one().build().unwrap();
    let watchdog = Watchdog::limit(Duration::from_secs(3600)).start(runtime.handle()).unwrap();
    let begun = Instant::now();
    drop(watchdog);
    assert!(begun.elapsed() < Duration::from_secs(60));
}
