//! What is no stall of the program.

use crate::work::{Hogs, LIMIT, LONG, compute, many, ms, one, spin};
use std::{thread, time::Duration};
use testing::{
    Watchdog,
    watchdog::{Stall, observe_on},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, block_in_place, spawn_blocking, yield_now},
    time::sleep,
};

fn both() -> [Builder; 2] {
    [one(), many(2)]
}

fn watched(mut builder: Builder) -> (Runtime, Watchdog) {
    let setup = Watchdog::limit(LIMIT).install(&mut builder);
    let runtime = builder.build().unwrap();
    let watchdog = setup.start(runtime.handle()).unwrap();
    (runtime, watchdog)
}

fn nothing() -> Vec<Stall> {
    Vec::new()
}

#[test]
fn an_idle_runtime() {
    for mut builder in both() {
        let (_, stalls) = observe_on(&mut builder, LIMIT, async { sleep(LONG).await });
        assert_eq!(stalls, nothing());
    }
}

#[test]
fn a_current_thread_runtime_that_nobody_drives() {
    let (runtime, watchdog) = watched(one());
    thread::sleep(LONG);
    for _ in 0..2 {
        runtime.block_on(watchdog.root(async { sleep(ms(1)).await }));
        compute(2 * LIMIT);
        thread::sleep(LONG);
    }
    assert_eq!(watchdog.stalls(), nothing());
}

#[test]
fn a_current_thread_runtime_whose_root_has_panicked_or_ended_or_was_dropped() {
    let (runtime, watchdog) = watched(one());
    let panics = std::panic::AssertUnwindSafe(|| {
        runtime.block_on(watchdog.root(async {
            yield_now().await;
            std::panic::resume_unwind(Box::new("on purpose"))
        }))
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    thread::sleep(LONG);
    let mut kept = std::pin::pin!(watchdog.root(yield_now()));
    runtime.block_on(kept.as_mut());
    thread::sleep(LONG);
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = watchdog.root(std::future::pending()) => {}
            () = sleep(ms(1)) => {}
        }
    });
    thread::sleep(LONG);
    assert_eq!(watchdog.stalls(), nothing());
}

#[test]
fn many_roots_one_after_the_other_none_of_which_parks() {
    let (runtime, watchdog) = watched(one());
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * LONG {
        runtime.block_on(watchdog.root(async { spin(ms(1)) }));
    }
    assert_eq!(watchdog.stalls(), nothing());
}

#[test]
fn another_thread_in_block_on_of_a_current_thread_runtime() {
    let (runtime, watchdog) = watched(one());
    let (driving, driven) = std::sync::mpsc::channel();
    let (leaves, left) = tokio::sync::oneshot::channel();
    thread::scope(|threads| {
        let other = threads.spawn(|| {
            runtime.block_on(watchdog.root(async {
                driving.send(()).unwrap();
                let mut tasks = JoinSet::new();
                tasks.spawn(async {
                    left.await.unwrap();
                    thread::sleep(4 * LONG);
                });
                tasks.join_all().await
            }));
        });
        driven.recv().unwrap();
        // This thread has not got the worker: it keeps nobody waiting but itself.
        runtime.block_on(watchdog.root(async { thread::sleep(LONG) }));
        assert_eq!(watchdog.stalls(), nothing());
        // The one that has is still watched.
        leaves.send(()).unwrap();
        other.join().unwrap();
        assert_eq!(watchdog.count(), 1);
    });
}

#[test]
fn a_runtime_that_is_gone() {
    for builder in both() {
        let (runtime, watchdog) = watched(builder);
        runtime.block_on(watchdog.root(async { sleep(ms(5)).await }));
        drop(runtime);
        thread::sleep(LONG);
        assert_eq!(watchdog.stalls(), nothing());
    }
}

#[test]
fn what_blocks_where_it_may() {
    let (_, stalls) = observe_on(&mut many(2), LIMIT, async {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { block_in_place(|| thread::sleep(LONG)) });
        tasks.spawn(async { block_in_place(|| compute(LONG)) });
        tasks.spawn(async { spawn_blocking(|| compute(LONG)).await.unwrap() });
        tasks.join_all().await
    });
    assert_eq!(stalls, nothing());
    let (_, stalls) = observe_on(&mut one(), LIMIT, async {
        spawn_blocking(|| compute(LONG)).await.unwrap();
        spawn_blocking(|| thread::sleep(LONG)).await.unwrap();
    });
    assert_eq!(stalls, nothing());
}

#[test]
fn more_short_polls_than_the_processors_can_run() {
    for mut builder in both() {
        let (_, stalls) = observe_on(&mut builder, LIMIT, async {
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                tasks.spawn(async {
                    loop {
                        spin(Duration::from_micros(100));
                        yield_now().await;
                    }
                });
            }
            sleep(2 * LONG).await;
        });
        assert_eq!(stalls, nothing());
    }
}

#[test]
fn a_poll_that_gets_no_processor() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let _hogs = Hogs::start();
    for mut builder in both() {
        let (_, stalls) = observe_on(&mut builder, LIMIT, async {
            let mut tasks = JoinSet::new();
            // With four busy threads beside it, it takes five times as long.
            tasks.spawn(async { compute(LIMIT / 2) });
            tasks.join_all().await
        });
        assert_eq!(stalls, nothing());
    }
}

#[test]
fn a_worker_that_moved_to_another_thread_which_gets_no_processor() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let _hogs = Hogs::start();
    let (_, stalls) = observe_on(&mut many(1), LIMIT, async {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            let mut other = JoinSet::new();
            other.spawn(async { compute(LIMIT / 2) });
            block_in_place(|| thread::sleep(4 * LONG));
            other.join_all().await;
        });
        tasks.join_all().await
    });
    assert_eq!(stalls, nothing());
}

#[test]
fn the_paused_clock_with_hooks_of_its_own() {
    let mut builder = common::clock::paused_builder();
    let setup = Watchdog::limit(LIMIT);
    let (parks, unparks) = (setup.hook(), setup.hook());
    let runtime = builder
        .on_thread_park(move || {
            parks();
            common::clock::parked(true);
        })
        .on_thread_unpark(move || {
            unparks();
            common::clock::parked(false);
        })
        .build()
        .unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    let setup = setup.on_stall(move |_| told.send(()).unwrap());
    let watchdog = setup.start(runtime.handle()).unwrap();
    runtime.block_on(watchdog.root(async { sleep(Duration::from_secs(3600)).await }));
    assert_eq!(watchdog.stalls(), nothing());
    runtime.block_on(watchdog.root(async { tells.recv_timeout(40 * LONG).unwrap() }));
    assert_eq!(watchdog.count(), 1);
}

#[test]
fn a_runtime_without_the_hooks_is_refused_and_told_what_to_do() {
    let runtime = many(1).build().unwrap();
    let refused = Watchdog::limit(LIMIT).start(runtime.handle()).unwrap_err();
    assert!(refused.to_string().contains("call `install`"), "{refused}");
}
