use crate::ms;
use common::clock;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all, poll, stream};
use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};
use testing::{
    Case, every_await,
    proof::{Gauge, Rendezvous},
    simulate,
    simulation::End,
};
use tokio::{runtime::Builder, task::JoinSet, time::timeout};

/// Calls that all meet, so many at a time.
async fn calls(rendezvous: &Rendezvous, number: usize, limit: usize) {
    let calls = (1..=number).map(|n| rendezvous.arrive(format!("call {n}")));
    stream::iter(calls).buffer_unordered(limit).count().await;
}

#[test]
fn a_limit_of_two_where_three_are_asked_is_a_deadlock_that_names_who_was_inside() {
    let real = Instant::now();
    let rendezvous = Rendezvous::of(3, 10);
    let verdict = Case::run("ten calls", async |recorder| {
        calls(&rendezvous.clone().on(&recorder), 10, 2).await;
    });
    let verdict = verdict.unwrap_err();
    assert!(verdict.message().contains("and so do `call 1` and `call 2`"), "{}", verdict.message());
    let mismatch = rendezvous.check_met().unwrap_err();
    assert_eq!(mismatch.expected, "3 inside at once, until all 10 have been");
    assert_eq!(mismatch.seen, "`call 1` and `call 2` waited for 1 more, and nobody came");
    let ended = mismatch.trace.lanes.iter().filter(|lane| lane.ending().is_some());
    assert_eq!(
        (mismatch.trace.lanes.len(), ended.count()),
        (2, 0),
        "it shows who waits, not how the run was given up"
    );
    assert!(real.elapsed() < Duration::from_secs(5), "at once, also on a busy machine");
}

#[test]
fn three_at_a_time_meet_and_the_remainder_goes_through() {
    for number in 1..=12 {
        let rendezvous = Rendezvous::of(3, number);
        let run = simulate("", async |_| {
            calls(&rendezvous, number, 3).await;
            rendezvous.assert_met();
            // And anew.
            calls(&rendezvous, number, 3).await;
        });
        assert_eq!(run.end, End::Returned(()), "{number}");
        rendezvous.assert_met();
    }
}

#[test]
fn after_the_total_the_next_are_bound_as_the_first() {
    let rendezvous = Rendezvous::of(3, 4);
    let run = simulate("", async |_| {
        calls(&rendezvous, 4, 3).await;
        calls(&rendezvous, 4, 2).await;
    });
    assert_eq!(run.end, End::Deadlock);
}

#[test]
fn without_a_total_a_last_incomplete_group_waits() {
    let rendezvous = Rendezvous::new(3);
    assert_eq!(simulate("", async |_| calls(&rendezvous, 9, 3).await).end, End::Returned(()));
    rendezvous.assert_met();
    assert_eq!(simulate("", async |_| calls(&rendezvous, 4, 3).await).end, End::Deadlock);
    assert_eq!(rendezvous.check_met().unwrap_err().seen, "`call 4` waited for 2 more, and nobody came");
}

#[test]
fn one_too_many_at_a_time_is_for_the_gauge_to_tell() {
    let (rendezvous, gauge) = (Rendezvous::of(3, 12), Gauge::new());
    clock::paused(async {
        let calls = (1..=12).map(|n| gauge.hold(format!("call {n}"), rendezvous.arrive("in it")));
        stream::iter(calls).buffer_unordered(4).count().await;
    });
    rendezvous.assert_met();
    assert_eq!(gauge.check_peak(3).unwrap_err().seen, "4, reached at 0 ms");
}

#[test]
fn a_party_that_is_dropped_while_it_waits_is_not_counted() {
    clock::paused(async {
        let rendezvous = Rendezvous::new(3);
        let mut first = pin!(rendezvous.arrive("first"));
        assert_eq!(poll!(&mut first), Poll::Pending);
        assert!(timeout(ms(10), rendezvous.arrive("impatient")).await.is_err());
        let mut second = pin!(rendezvous.arrive("second"));
        assert_eq!(poll!(&mut second), Poll::Pending);
        assert_eq!(poll!(&mut first), Poll::Pending);
        assert_eq!(
            rendezvous.check_met().unwrap_err().seen,
            "`first` and `second` waited for 1 more, and nobody came"
        );
        rendezvous.arrive("third").await;
        first.await;
        second.await;
        rendezvous.assert_met();
    });
}

#[test]
fn who_is_dropped_and_comes_again_is_one_of_the_total() {
    let rendezvous = Rendezvous::of(2, 3);
    clock::paused(async {
        assert!(timeout(ms(10), rendezvous.arrive("first")).await.is_err());
        let seen = rendezvous.check_met().unwrap_err().seen;
        assert_eq!(seen, "`first` waited for 1 more, and nobody came");
        calls(&rendezvous, 3, 2).await;
    });
    rendezvous.assert_met();
}

#[test]
fn a_party_that_met_and_is_dropped_before_its_poll_was_one_of_the_group() {
    clock::paused(async {
        let rendezvous = Rendezvous::new(2);
        let mut met = Box::pin(rendezvous.arrive("met"));
        assert_eq!(poll!(&mut met), Poll::Pending);
        rendezvous.arrive("other").await;
        drop(met);
        rendezvous.assert_met();
        let mut next = pin!(rendezvous.arrive("next"));
        assert_eq!(poll!(&mut next), Poll::Pending, "it waits for a group of its own");
        rendezvous.arrive("last").await;
        next.await;
    });
}

#[test]
fn wherever_a_party_is_dropped_the_next_two_meet() {
    let dropped = every_await(
        || Rendezvous::new(2),
        |rendezvous| {
            let rendezvous = rendezvous.clone();
            async move { drop(join_all(["a", "b"].map(|name| rendezvous.arrive(name))).await) }
        },
        async |rendezvous| {
            let mut alone = pin!(rendezvous.arrive("alone"));
            if poll!(&mut alone).is_ready() {
                return Err(String::from("somebody is counted who is gone"));
            }
            rendezvous.arrive("the other").await;
            alone.await;
            Ok(rendezvous.check_met()?)
        },
    );
    assert!(dropped.is_ok(), "{}", dropped.unwrap_err());
}

#[test]
fn without_a_simulation_a_party_panics_and_the_picture_shows_the_standstill() {
    let rendezvous = Rendezvous::of(3, 10).patience(Duration::from_secs(3600));
    let panic = clock::paused(AssertUnwindSafe(calls(&rendezvous, 10, 2)).catch_unwind());
    let panic = panic.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("`call 1` and `call 2` waited for 1 more"), "{message}");
    assert!(!message.contains("1000 s"), "{message}");
}

#[test]
fn a_party_whose_panic_was_swallowed_is_still_told() {
    let rendezvous = Rendezvous::new(2).patience(Duration::from_secs(3600));
    clock::paused(async {
        let mut tasks = JoinSet::new();
        tasks.spawn(rendezvous.arrive("alone"));
        drop(tasks.join_next().await);
    });
    assert_eq!(rendezvous.check_met().unwrap_err().seen, "`alone` waited for 1 more, and nobody came");
}

#[test]
fn a_rendezvous_to_which_not_all_came_has_not_been_met() {
    let rendezvous = Rendezvous::of(2, 10);
    assert!(rendezvous.check_met().unwrap_err().seen.starts_with("nobody ever came"));
    clock::paused(calls(&rendezvous, 6, 2));
    assert_eq!(rendezvous.check_met().unwrap_err().seen, "6 of 10 came");
}

#[test]
fn on_several_threads_exactly_four_are_in_flight() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let rendezvous = Rendezvous::of(4, 402).patience(Duration::from_secs(60));
    let gauge = Gauge::new();
    let work = rendezvous.clone();
    let held = gauge.clone();
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        for n in 0..402 {
            if tasks.len() == 4 {
                tasks.join_next().await.unwrap().unwrap();
            }
            let name = format!("call {n}");
            tasks.spawn(held.hold(name.clone(), work.arrive(name)));
        }
        while tasks.join_next().await.is_some() {}
    });
    rendezvous.assert_met();
    gauge.assert_peak(4);
    gauge.assert_total(402);
    gauge.assert_idle();
}

#[test]
#[should_panic(expected = "a rendezvous of 0 parties")]
fn a_rendezvous_of_nobody_is_refused() {
    drop(Rendezvous::new(0));
}
