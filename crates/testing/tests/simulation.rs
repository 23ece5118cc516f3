//! What a simulated run and a case tell, each kind of end a test.
#![expect(clippy::todo, reason = "a todo is one of the ends")]

use common::verdict::Kind;
use std::{
    future::pending,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};
use testing::{
    Case, latencies,
    latencies::best_time,
    simulate,
    simulation::{End, HORIZON},
    verdict,
};
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_deadlock_is_told_at_once_and_is_no_endless_loop() {
    let real = Instant::now();
    let run = simulate("", async |_| {
        let (left, right) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let mut tasks = JoinSet::new();
        for (first, second) in [(left.clone(), right.clone()), (right, left)] {
            tasks.spawn(async move {
                let _first = first.lock().await;
                sleep(ms(1)).await;
                let _second = second.lock().await;
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    assert_eq!(run.end, End::Deadlock);
    assert!(real.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_wake_up_that_was_lost_is_a_deadlock() {
    let run = simulate("", async |_| {
        let mut nap = Box::pin(sleep(ms(5)));
        // Polled once with a waker that wakes nobody.
        std::future::poll_fn(|_| nap.as_mut().poll(&mut Context::from_waker(Waker::noop()))).await;
    });
    assert_eq!(run.end, End::Deadlock);
}

#[test]
fn timers_that_fire_for_ever_are_an_endless_loop_and_no_deadlock() {
    for period in [1, 10, 1000, 50_000] {
        let run = simulate("", async |_| {
            loop {
                sleep(ms(period)).await;
            }
        });
        assert!(matches!(run.end, End::<()>::Endless), "{period} ms: {:?}", run.end);
    }
}

#[test]
fn a_run_that_takes_almost_until_the_horizon_returns() {
    let run = simulate("", async |_| sleep(HORIZON - ms(1)).await);
    assert_eq!(run.end, End::Returned(()));
}

#[test]
fn tasks_that_are_left_are_counted_and_aborted_ones_are_not() {
    let run = simulate("", async |_| {
        let mut aborted = JoinSet::new();
        aborted.spawn(pending::<()>());
        aborted.abort_all();
        let mut kept = JoinSet::new();
        kept.spawn(pending::<()>());
        kept.spawn(sleep(ms(1)));
        kept.detach_all();
    });
    assert_eq!((run.end, run.leaked), (End::Returned(()), 2));
}

#[test]
fn each_kind_of_end_is_its_verdict() {
    let kind = |checked: testing::Checked<Case<()>>| {
        checked.map_or_else(|v| (v.kind, v.rule().map(str::to_owned)), |_| (Kind::Pass, None))
    };
    let named = |rule: &str| Some(rule.to_owned());
    assert_eq!(kind(Case::run("", async |_| ())), (Kind::Pass, None));
    assert_eq!(kind(Case::run("", async |_| pending().await)), (Kind::Deadlock, named("ends")));
    assert_eq!(
        kind(Case::run("", async |_| loop {
            sleep(ms(3)).await;
        })),
        (Kind::Hang, named("ends"))
    );
    assert_eq!(kind(Case::run("", async |_| panic!("no"))), (Kind::Panic, named("no-panic")));
    assert_eq!(kind(Case::run("", async |_| todo!("later"))), (Kind::Todo, None));
    let leak = Case::run("", async |_| {
        let mut tasks = JoinSet::new();
        tasks.spawn(pending::<()>());
        tasks.detach_all();
    });
    assert_eq!(kind(leak), (Kind::Leak, named("no-leak")));
}

#[test]
fn a_todo_that_a_task_reached_is_a_todo_too() {
    let verdict = verdict(|| {
        Case::run("", async |_| {
            let mut tasks = JoinSet::<()>::new();
            tasks.spawn(async { todo!("in a task") });
            drop(tasks.join_next().await);
        })?;
        Ok(())
    });
    assert_eq!(verdict.kind, Kind::Todo);
    assert!(verdict.message().contains("in a task"), "{}", verdict.message());
}

#[test]
fn a_panic_says_what_and_where() {
    let verdict = Case::run("", async |_| panic!("{} and {}", 1, 2)).map(|_: Case<()>| ()).unwrap_err();
    let line = line!() - 1;
    assert!(verdict.message().contains(&format!("simulation.rs:{line}")), "{}", verdict.message());
    assert!(verdict.message().contains("1 and 2"));
}

#[test]
fn seeded_latencies_are_distinct_and_the_first_is_not_the_shortest() {
    for seed in 0..100 {
        for n in 2..20 {
            let mut drawn = latencies(seed, n);
            assert!(drawn[0] > ms(10));
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), n);
        }
    }
}

#[test]
fn the_best_time_is_that_of_filling_each_free_place() {
    let drawn = [ms(50), ms(10), ms(20), ms(10)];
    assert_eq!(best_time(&drawn, 1), ms(90));
    assert_eq!(best_time(&drawn, 2), ms(50));
    assert_eq!(best_time(&drawn, 9), ms(50));
    assert_eq!(best_time(&[], 3), ms(0));
}
