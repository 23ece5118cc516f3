//! What `gather` promises.

use common::{Backend, Recorder, backend::CallEnd, backend::Outcome, clock::paused};
use concurrency::{Settled, gather, gather_until};
use std::{
    cell::Cell,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{every_await, latencies, latencies::best_time, simulate, simulation::End};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("limits are not zero")
}

fn bodies<E: std::fmt::Debug>(settled: Vec<Settled<common::backend::Reply, E>>) -> Vec<u32> {
    settled
        .into_iter()
        .map(|outcome| match outcome {
            Settled::Ok(reply) => reply.id,
            other => panic!("not ok: {other:?}"),
        })
        .collect()
}

#[test]
fn outcomes_come_in_input_order_whatever_the_order_of_completion() {
    for seed in 0..60 {
        let latencies = latencies(seed, 7);
        for n in 1..=8 {
            let best = best_time(&latencies, n);
            paused(async {
                let recorder = Recorder::new("");
                let mut backend = Backend::new(&recorder);
                for (id, latency) in (0..).zip(&latencies) {
                    backend = backend.on(id, *latency, Outcome::Reply);
                }
                let start = Instant::now();
                let settled = gather(0..7, limit(n), |id| backend.fetch(id)).await;
                assert_eq!(bodies(settled), [0, 1, 2, 3, 4, 5, 6]);
                assert_eq!(backend.peak(), n.min(7), "calls in flight at once");
                assert_eq!(backend.peak_tasks(), n.min(7), "tasks alive at once");
                assert_eq!(start.elapsed(), best, "a free place is filled at once");
            });
        }
    }
}

#[test]
fn duplicates_are_asked_for_and_kept() {
    paused(async {
        let backend = Backend::new(&Recorder::new(""));
        let settled = gather([3, 3, 1, 3], limit(2), |id| backend.fetch(id)).await;
        assert_eq!(bodies(settled), [3, 3, 1, 3]);
        assert_eq!(backend.calls().len(), 4);
    });
}

#[test]
fn nothing_in_gives_nothing_out() {
    paused(async {
        let backend = Backend::new(&Recorder::new(""));
        assert!(gather([], limit(3), |id| backend.fetch(id)).await.is_empty());
    });
}

#[test]
fn an_error_or_a_panic_is_the_outcome_of_its_item_alone() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(5), Outcome::Fail).on(2, ms(15), Outcome::Panic).on(
            3,
            ms(30),
            Outcome::Reply,
        );
        gather([0, 1, 2, 3], limit(4), |id| backend.fetch(id)).await
    });
    let End::Returned(settled) = run.end else { panic!("{:?}", run.end) };
    let [Settled::Ok(first), Settled::Failed(error), Settled::Panicked(panic), Settled::Ok(last)] =
        settled.as_slice()
    else {
        panic!("{settled:?}");
    };
    assert_eq!((first.id, last.id), (0, 3));
    assert_eq!(error.to_string(), "item 1 is unavailable");
    assert_eq!(panic.message(), "item 2 is cursed");
    assert_eq!(run.elapsed, ms(30));
}

#[test]
fn a_panic_before_the_first_await_costs_no_other_item() {
    let run = simulate("", async |_| {
        gather([1, 2, 3], limit(2), |n| {
            assert_ne!(n, 2, "no future for two");
            async move { Ok::<_, ()>(n) }
        })
        .await
    });
    let End::Returned(settled) = run.end else { panic!("{:?}", run.end) };
    assert!(matches!(settled.as_slice(), [Settled::Ok(1), Settled::Panicked(_), Settled::Ok(3)]));
}

#[test]
fn items_are_pulled_only_when_there_is_room_for_them() {
    paused(async {
        let pulled = Cell::new(0);
        let items = (0..20_000).inspect(|_| pulled.set(pulled.get() + 1));
        let done = Arc::new(AtomicUsize::new(0));
        let settled = gather(items, limit(3), |n| {
            assert!(pulled.get() <= done.load(Relaxed) + 3, "{} pulled", pulled.get());
            let done = done.clone();
            async move {
                sleep(ms(1 + n % 3)).await;
                assert!(Handle::current().metrics().num_alive_tasks() <= 3);
                done.fetch_add(1, Relaxed);
                Ok::<_, ()>(())
            }
        })
        .await;
        assert!(settled.iter().all(Settled::is_ok));
    });
}

#[test]
fn when_stopped_it_settles_for_what_is_there_and_waits_for_the_rest_to_be_gone() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(500), Outcome::Reply);
        let settled = gather_until(sleep(ms(50)), 0..40, limit(2), |id| backend.fetch(id)).await;
        // No yield in between: on return the aborted call must already be gone.
        assert_eq!(backend.in_flight(), 0);
        let cancelled =
            backend.calls().iter().filter(|call| matches!(call.ended, Some((_, CallEnd::Dropped)))).count();
        (settled, cancelled)
    });
    let End::Returned((settled, cancelled)) = run.end else { panic!("{:?}", run.end) };
    assert_eq!(run.elapsed, ms(50));
    assert_eq!(settled.len(), 40);
    assert_eq!(
        settled.iter().filter(|outcome| outcome.is_ok()).count(),
        4,
        "0, 2, 3, 4 had answered by then"
    );
    assert!(matches!(settled[1], Settled::Cancelled));
    assert_eq!(settled.iter().filter(|outcome| matches!(outcome, Settled::Cancelled)).count(), 36);
    assert_eq!(cancelled, 2, "the slow one and the one that had just begun");
}

#[test]
fn what_is_over_to_begin_with_starts_nothing() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder);
        let mut made = 0;
        let settled = gather_until(std::future::ready(()), 0..5, limit(3), |id| {
            made += 1;
            backend.fetch(id)
        })
        .await;
        (
            settled.len(),
            settled.iter().all(|outcome| matches!(outcome, Settled::Cancelled)),
            made,
            backend.calls().len(),
        )
    });
    assert_eq!(run.end, End::Returned((5, true, 0, 0)));
}

#[test]
fn what_is_over_in_the_moment_in_which_a_place_becomes_free_starts_nothing_in_it() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder);
        let settled = gather_until(sleep(ms(10)), 0..5, limit(2), |id| backend.fetch(id)).await;
        (settled.len(), backend.calls().len())
    });
    assert_eq!(run.end, End::Returned((5, 2)));
}

#[test]
fn dropped_at_any_await_it_leaves_no_task_and_no_call_behind() {
    let awaits = every_await(
        || Backend::new(&Recorder::new("")).on(2, ms(70), Outcome::Fail).on(4, ms(3), Outcome::Panic),
        |backend| {
            let backend = backend.clone();
            async move { drop(gather(0..9, limit(3), |id| backend.fetch(id)).await) }
        },
        async |backend| match (backend.in_flight(), backend.calls()) {
            (0, calls) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
            (n, _) => Err(format!("{n} calls in flight")),
        },
    );
    assert!(awaits.unwrap() >= 3);
    let awaits = every_await(
        || Backend::new(&Recorder::new("")),
        |backend| {
            let backend = backend.clone();
            async move { drop(gather_until(sleep(ms(15)), 0..9, limit(3), |id| backend.fetch(id)).await) }
        },
        async |backend| if backend.in_flight() == 0 { Ok(()) } else { Err(String::from("calls in flight")) },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn it_can_be_spawned_and_runs_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let alive = Arc::new(AtomicUsize::new(0));
        let peak = Arc::new(AtomicUsize::new(0));
        let (counted, highest) = (alive.clone(), peak.clone());
        let gathered = async move {
            gather(0..2000_u32, limit(4), move |n| {
                let (alive, peak) = (counted.clone(), highest.clone());
                async move {
                    peak.fetch_max(alive.fetch_add(1, Relaxed) + 1, Relaxed);
                    tokio::task::yield_now().await;
                    alive.fetch_sub(1, Relaxed);
                    if n % 7 == 0 { Err(n) } else { Ok(n) }
                }
            })
            .await
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(gathered);
        let settled = tasks.join_next().await.unwrap().unwrap();
        for (n, outcome) in (0..).zip(&settled) {
            match outcome {
                Settled::Ok(m) => assert_eq!(*m, n),
                Settled::Failed(m) => assert!(*m == n && n % 7 == 0),
                other => panic!("{other:?}"),
            }
        }
        assert!(peak.load(Relaxed) <= 4);
    });
}
