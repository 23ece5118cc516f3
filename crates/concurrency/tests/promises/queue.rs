//! What `queue` promises.

use common::{
    Backend, Recorder,
    backend::{FetchError, Outcome, Reply},
};
use concurrency::{
    Queue, Settled, Workers,
    queue::{self, Ended, OnFailure, Refused, Report, Settings, queue},
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::{
    cell::Cell,
    future::{pending, ready},
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{every_await, latencies, latencies::best_time, proof::Gauge, sim, simulation::tasks_left};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

type Fetched = Report<u32, Reply, FetchError>;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn of(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("sizes are not zero")
}

fn times(n: u32) -> OnFailure {
    OnFailure::Retry(NonZeroU32::new(n).expect("at least once"))
}

fn settings(capacity: usize, workers: usize) -> Settings {
    Settings {
        capacity: of(capacity),
        workers: of(workers),
        on_error: OnFailure::Skip,
        on_panic: OnFailure::Skip,
    }
}

fn fetching(settings: Settings, backend: &Backend) -> (Queue<u32>, Workers<u32, Reply, FetchError>) {
    let backend = backend.clone();
    queue(settings, move |id| backend.fetch(id))
}

fn items<T: Clone, R, E>(group: &[Ended<T, R, E>]) -> Vec<T> {
    group.iter().map(|ended| ended.item.clone()).collect()
}

/// Every item of a report, in the order of acceptance; each sequence number once, without a gap.
fn all(report: &Fetched) -> Vec<u32> {
    let mut all: Vec<_> = report
        .done
        .iter()
        .chain(&report.failed)
        .chain(&report.left)
        .map(|ended| (ended.sequence, ended.item))
        .collect();
    all.sort_unstable();
    let sequences: Vec<u64> = all.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, (0..all.len() as u64).collect::<Vec<_>>());
    all.into_iter().map(|(_, item)| item).collect()
}

#[test]
fn as_many_run_as_there_are_workers_and_a_free_one_is_given_work_at_once() {
    for seed in 0..40 {
        let latencies = latencies(seed, 9);
        for workers in 1..=6 {
            let best = best_time(&latencies, workers);
            let drawn = latencies.clone();
            sim(async move |sim| {
                let mut backend = Backend::new(sim.recorder());
                for (id, latency) in (0..).zip(&drawn) {
                    backend = backend.on(id, *latency, Outcome::Reply);
                }
                let start = Instant::now();
                let (peer, work) = (backend.clone(), backend.clone());
                let report =
                    queue::run(stream::iter(0..9), settings(3, workers), move |id| work.fetch(id)).await;
                assert_eq!(items(&report.done), (0..9).collect::<Vec<_>>(), "by sequence");
                assert_eq!(peer.peak(), workers, "calls in flight at once");
                assert_eq!(backend.peak_tasks(), workers, "tasks alive at once");
                assert_eq!(start.elapsed(), best);
            });
        }
    }
}

#[test]
fn next_gives_what_ends_first_and_drain_goes_by_sequence() {
    sim(async |sim| {
        let backend =
            Backend::new(sim.recorder()).on(0, ms(50), Outcome::Reply).on(1, ms(20), Outcome::Reply);
        let (queue, mut workers) = fetching(settings(9, 9), &backend);
        for id in 0..4 {
            queue.push(id).await.unwrap();
        }
        drop(queue);
        let mut order = Vec::new();
        while let Some(ended) = workers.next().await {
            assert!(ended.outcome.is_ok() && ended.attempts == 1 && ended.sequence == u64::from(ended.item));
            order.push(ended.item);
        }
        // 2 and 3 take ten milliseconds.
        assert_eq!((order[2], order[3]), (1, 0));
        let (queue, mut workers) = fetching(settings(9, 9), &backend);
        for id in 0..4 {
            queue.push(id).await.unwrap();
        }
        assert_eq!(items(&workers.drain().await.done), [0, 1, 2, 3]);
    });
}

#[test]
fn the_producer_is_never_further_ahead_than_capacity_and_workers_and_gets_that_far() {
    for (capacity, workers) in [(1, 1), (3, 2), (2, 5)] {
        sim(async move |_| {
            let (in_pipeline, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (given, highest) = (in_pipeline.clone(), most.clone());
            let source = stream::iter(0..40).inspect(move |_| {
                highest.fetch_max(given.fetch_add(1, Relaxed) + 1, Relaxed);
            });
            let report = queue::run(source, settings(capacity, workers), move |n: u64| {
                let in_pipeline = in_pipeline.clone();
                async move {
                    sleep(ms(5 + n % 3)).await;
                    in_pipeline.fetch_sub(1, Relaxed);
                    Ok::<_, ()>(())
                }
            })
            .await;
            assert_eq!(report.done.len(), 40);
            assert_eq!(most.load(Relaxed), capacity + workers);
        });
    }
}

#[test]
fn outcomes_that_nobody_reads_hold_up_the_workers_and_do_not_pile_up() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder());
        let (queue, mut workers) = fetching(settings(2, 3), &backend);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let mut producer = JoinSet::new();
        producer.spawn(async move {
            for id in 0..100 {
                queue.push(id).await.unwrap();
                count.fetch_add(1, Relaxed);
            }
        });
        for read in 1..=10 {
            assert!(workers.next().await.is_some());
            sleep(ms(500)).await;
            assert!(accepted.load(Relaxed) <= read + 2 + 3, "{accepted:?} accepted, {read} read");
            // The place of what was read was given away before it was handed over.
            assert_eq!(backend.calls().len(), read + 3);
        }
    });
}

#[test]
fn a_closed_queue_refuses_at_once_and_works_off_what_it_had_accepted() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder());
        let (queue, mut workers) = fetching(settings(3, 1), &backend);
        for id in 0..3 {
            queue.push(id).await.unwrap();
        }
        let waiting = sim.spawn("waiting producer", {
            let queue = queue.clone();
            async move { queue.push(3).await }
        });
        sim.settle().await;
        assert!(matches!(queue.try_push(4), Err(Refused::Full(4))));
        assert!(!queue.is_closed());
        queue.close();
        // Nobody has polled the workers.
        assert!(queue.is_closed());
        assert!(matches!(queue.try_push(4), Err(Refused::Closed(4))));
        assert!(matches!(queue.push(5).now_or_never(), Some(Err(Refused::Closed(5)))));
        assert!(matches!(waiting.await.unwrap(), Err(Refused::Closed(3))));
        let mut done = Vec::new();
        while let Some(ended) = workers.next().await {
            assert!(ended.outcome.is_ok());
            done.push(ended.item);
        }
        assert_eq!(done, [0, 1, 2]);
        assert!(workers.next().await.is_none(), "and so it stays");
    });
}

#[test]
fn a_close_is_heard_by_workers_that_wait_for_items() {
    sim(async |sim| {
        let (queue, mut workers) = fetching(settings(1, 1), &Backend::new(sim.recorder()));
        let closer = sim.spawn("closer", {
            let queue = queue.clone();
            async move {
                sleep(ms(10)).await;
                queue.close();
            }
        });
        // `queue` is a handle that was forgotten.
        assert!(workers.next().await.is_none());
        closer.await.unwrap();
        drop(queue);
    });
}

#[test]
fn a_producer_that_waits_elsewhere_is_told() {
    for how in ["close", "drain", "drop"] {
        sim(async move |sim| {
            let (queue, mut workers) = fetching(settings(1, 1), &Backend::new(sim.recorder()));
            let told = sim.spawn("producer", {
                let queue = queue.clone();
                async move { queue.closed().await }
            });
            sim.settle().await;
            assert!(!told.is_finished());
            match how {
                "close" => queue.close(),
                "drain" => drop(workers.drain().await),
                _ => drop(workers),
            }
            told.await.unwrap();
        });
    }
}

#[test]
fn without_workers_a_waiting_producer_gets_its_item_back() {
    sim(async |sim| {
        let (queue, workers) = fetching(settings(1, 1), &Backend::new(sim.recorder()));
        queue.push(0).await.unwrap();
        let waiting = sim.spawn("producer", {
            let queue = queue.clone();
            async move { queue.push(1).await }
        });
        sim.settle().await;
        drop(workers);
        assert_eq!(waiting.await.unwrap(), Err(Refused::Closed(1)));
        assert_eq!(queue.push(2).await.unwrap_err().into_item(), 2);
    });
}

fn failing(recorder: &Recorder) -> Backend {
    Backend::new(recorder).on(2, ms(10), Outcome::Fail).on(4, ms(10), Outcome::Panic)
}

#[test]
fn skip_costs_the_failed_items_and_no_other() {
    sim(async |sim| {
        let backend = failing(sim.recorder());
        let calls = backend.clone();
        let report = queue::run(stream::iter(0..8), settings(2, 3), move |id| backend.fetch(id)).await;
        assert_eq!(items(&report.done), [0, 1, 3, 5, 6, 7]);
        assert_eq!(items(&report.failed), [2, 4]);
        assert!(matches!(&report.failed[0].outcome, Settled::Failed(FetchError::Unavailable { id: 2 })));
        assert!(
            matches!(&report.failed[1].outcome, Settled::Panicked(p) if p.message() == "item 4 is cursed")
        );
        assert!(report.left.is_empty());
        assert_eq!(calls.calls().len(), 8);
    });
}

#[test]
fn retry_is_for_errors_or_for_panics_and_so_many_attempts_in_all() {
    sim(async |sim| {
        for (on_error, on_panic, asked) in [
            (times(3), OnFailure::Skip, (3, 1)),
            (OnFailure::Skip, times(2), (1, 2)),
            (times(1), times(4), (1, 4)),
        ] {
            let backend = failing(sim.recorder());
            let ledger = backend.clone();
            let settings = Settings { on_error, on_panic, ..settings(2, 2) };
            let report = queue::run(stream::iter(0..8), settings, move |id| backend.fetch(id)).await;
            assert_eq!(items(&report.failed), [2, 4]);
            assert_eq!((report.failed[0].attempts, report.failed[1].attempts), asked);
            let count = |id| ledger.calls().iter().filter(|call| call.id == id).count() as u32;
            assert_eq!((count(2), count(4)), asked);
            assert_eq!(ledger.peak(), 2, "an attempt has its item's place");
            assert_eq!(report.done.len(), 6);
        }
    });
}

#[test]
fn an_attempt_that_succeeds_is_the_outcome() {
    sim(async |_| {
        let tried = Arc::new(AtomicUsize::new(0));
        let settings = Settings { on_error: times(5), ..settings(1, 1) };
        let report = queue::run(stream::iter(["row"]), settings, move |_| {
            let attempt = tried.fetch_add(1, Relaxed) + 1;
            async move { if attempt < 3 { Err("busy") } else { Ok(attempt) } }
        })
        .await;
        assert!(matches!(report.done[0], Ended { attempts: 3, outcome: Settled::Ok(3), .. }));
    });
}

#[test]
fn stop_gives_the_waiting_items_and_the_producers_item_back_and_sees_to_an_end_what_has_begun() {
    for on_panic in [false, true] {
        sim(async move |sim| {
            let outcome = if on_panic { Outcome::Panic } else { Outcome::Fail };
            let backend = Backend::new(sim.recorder()).on(0, ms(10), outcome).on(1, ms(30), Outcome::Reply);
            let settings = if on_panic {
                Settings { on_panic: OnFailure::Stop, ..settings(2, 2) }
            } else {
                Settings { on_error: OnFailure::Stop, ..settings(2, 2) }
            };
            let (queue, mut workers) = fetching(settings, &backend);
            let producer = sim.spawn("producer", async move {
                for id in 0..9 {
                    if let Err(refused) = queue.push(id).await {
                        return refused.into_item();
                    }
                }
                panic!("all were accepted");
            });
            let mut ended = Vec::new();
            while let Some(Ended { item, attempts, outcome, .. }) = workers.next().await {
                ended.push((item, attempts, matches!(outcome, Settled::Cancelled), outcome.is_ok()));
            }
            assert_eq!(ended[0], (0, 1, false, false));
            ended.sort_unstable();
            assert_eq!(
                ended[1..],
                [(1, 1, false, true), (2, 0, true, false), (3, 0, true, false)],
                "1 had begun, 2 and 3 waited"
            );
            assert_eq!(producer.await.unwrap(), 4, "the item in the producer's hand");
            assert_eq!(backend.calls().len(), 2);
        });
    }
}

#[test]
fn after_a_stop_a_source_that_gives_nothing_is_not_waited_for_and_nothing_is_retried() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder()).on(0, ms(10), Outcome::Panic).on(1, ms(20), Outcome::Fail);
        let ledger = backend.clone();
        let settings = Settings { on_error: times(9), on_panic: OnFailure::Stop, ..settings(2, 2) };
        let source = stream::iter(0..2).chain(stream::pending());
        let start = Instant::now();
        let report = queue::run(source, settings, move |id| backend.fetch(id)).await;
        assert_eq!((items(&report.failed), start.elapsed()), (vec![0, 1], ms(20)));
        assert_eq!(ledger.calls().len(), 2);
    });
}

#[test]
fn a_panic_before_the_first_await_is_a_failure_of_its_item() {
    sim(async |sim| {
        sim.expect_panic("no future for two");
        let report = queue::run(stream::iter(1..=3), settings(1, 2), |n| {
            assert_ne!(n, 2, "no future for two");
            ready(Ok::<_, ()>(n))
        })
        .await;
        assert_eq!((items(&report.done), items(&report.failed)), (vec![1, 3], vec![2]));
    });
}

#[test]
fn at_the_deadline_what_runs_is_aborted_and_waited_for_and_every_item_comes_back() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder()).on(1, ms(500), Outcome::Reply).on(2, ms(5), Outcome::Fail);
        let (queue, mut workers) = fetching(settings(9, 2), &backend);
        for id in 0..9 {
            queue.push(id).await.unwrap();
        }
        let start = Instant::now();
        let report = workers.drain_until(sleep(ms(32))).await;
        // No yield in between: on return the aborted calls must already be gone.
        assert_eq!(backend.in_flight(), 0);
        assert_eq!(start.elapsed(), ms(32));
        assert_eq!(all(&report), (0..9).collect::<Vec<_>>());
        // 0 until 10 ms, 2 until 15, 3 until 25; then 4 began.
        assert_eq!((items(&report.done), items(&report.failed)), (vec![0, 3], vec![2]));
        assert_eq!(items(&report.left), [1, 4, 5, 6, 7, 8]);
        let attempts: Vec<u32> = report.left.iter().map(|ended| ended.attempts).collect();
        assert_eq!(attempts, [1, 1, 0, 0, 0, 0], "what was begun may have had an effect");
        assert_eq!(queue.push(9).await, Err(Refused::Closed(9)));
    });
}

#[test]
fn a_deadline_that_is_not_needed_is_not_waited_for_and_one_that_is_over_begins_nothing() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder());
        let (queue, mut workers) = fetching(settings(9, 2), &backend);
        queue.push(0).await.unwrap();
        let start = Instant::now();
        let report = workers.drain_until(sleep(ms(9000))).await;
        assert_eq!((items(&report.done), start.elapsed()), (vec![0], ms(10)));

        let (queue, mut workers) = fetching(settings(9, 2), &backend);
        queue.push(1).await.unwrap();
        let report = workers.drain_until(ready(())).await;
        assert_eq!(items(&report.left), [1]);

        let asked = Cell::new(0);
        let source = stream::iter(0..5).inspect(|_| asked.set(asked.get() + 1));
        let work = backend.clone();
        let report = queue::run_until(ready(()), source, settings(2, 2), move |id| work.fetch(id)).await;
        assert_eq!((all(&report).len(), asked.get(), backend.calls().len()), (0, 0, 1));
    });
}

#[test]
fn stopped_in_the_middle_everything_that_the_source_gave_is_in_the_report() {
    for at in 0..60 {
        sim(async move |sim| {
            let backend =
                Backend::new(sim.recorder()).on(3, ms(40), Outcome::Reply).on(5, ms(3), Outcome::Panic);
            let given = Cell::new(0);
            let source = stream::iter(0..12)
                .then(async |id| {
                    sleep(ms(2)).await;
                    id
                })
                .inspect(|_| given.set(given.get() + 1));
            let work = backend.clone();
            let stop = sleep(ms(at));
            let report = queue::run_until(stop, source, settings(2, 3), move |id| work.fetch(id)).await;
            assert_eq!(all(&report), (0..given.get()).collect::<Vec<_>>(), "stopped after {at} ms");
            assert_eq!(backend.in_flight(), 0);
        });
    }
}

#[test]
fn nothing_in_gives_nothing_out() {
    sim(async |sim| {
        let (queue, mut workers) = fetching(settings(1, 1), &Backend::new(sim.recorder()));
        assert!(all(&workers.drain().await).is_empty());
        drop(queue);
        assert!(workers.next().await.is_none());
    });
}

#[test]
fn what_next_has_given_is_not_in_the_report_again() {
    sim(async |sim| {
        let (queue, mut workers) = fetching(settings(9, 1), &Backend::new(sim.recorder()));
        for id in 0..3 {
            queue.push(id).await.unwrap();
        }
        assert_eq!(workers.next().await.unwrap().item, 0);
        let report = workers.drain().await;
        assert_eq!(items(&report.done), [1, 2]);
        assert_eq!(report.done[0].sequence, 1);
        assert!(all(&workers.drain().await).is_empty(), "a second one has nothing to report");
    });
}

#[test]
fn next_and_drain_lose_nothing_when_they_are_dropped_again_and_again() {
    for impatience in 1..15 {
        sim(async move |sim| {
            let backend =
                Backend::new(sim.recorder()).on(1, ms(31), Outcome::Fail).on(2, ms(7), Outcome::Panic);
            let (queue, mut workers) = fetching(settings(9, 2), &backend);
            for id in 0..8 {
                queue.push(id).await.unwrap();
            }
            for _ in 0..3 {
                // What it gives is given once: an outcome that came in time is kept for the count below.
                if let Ok(Some(ended)) = timeout(ms(impatience), workers.next()).await {
                    assert!(ended.item < 8);
                    queue.try_push(100 + ended.item).unwrap();
                }
            }
            let report = loop {
                if let Ok(report) = timeout(ms(impatience), workers.drain()).await {
                    break report;
                }
            };
            assert_eq!(report.done.len() + report.failed.len(), 8);
            assert!(report.left.is_empty());
            // Begun once: a dropped `next` or `drain` does not touch the tasks.
            assert_eq!(backend.calls().len(), backend.calls().iter().filter(|c| c.ended.is_some()).count());
            assert!(report.done.iter().chain(&report.failed).all(|ended| ended.attempts == 1));
        });
    }
}

/// Workers with both places taken, by tasks that belong to them and not to a future that is dropped.
struct Held {
    backend: Backend,
    queue: Queue<u32>,
    workers: tokio::sync::Mutex<Workers<u32, Reply, FetchError>>,
    /// Items that came out.
    seen: AtomicUsize,
}

fn held() -> Arc<Held> {
    let backend = failing(&Recorder::new(""));
    let (queue, mut workers) = fetching(settings(6, 2), &backend);
    for id in 0..6 {
        queue.try_push(id).expect("there is room");
    }
    assert!(workers.next().now_or_never().is_none());
    Arc::new(Held { backend, queue, workers: tokio::sync::Mutex::new(workers), seen: AtomicUsize::new(0) })
}

/// Each of six items comes out once, in the operation or now, and was begun once.
async fn six(held: Arc<Held>) -> Result<(), String> {
    let report = held.workers.lock().await.drain().await;
    let n = report.done.len() + report.failed.len() + report.left.len() + held.seen.load(Relaxed);
    let calls = held.backend.calls().len();
    if (n, calls) == (6, 6) { Ok(()) } else { Err(format!("{n} of 6 items, {calls} calls")) }
}

#[test]
fn dropped_at_any_await_next_leaves_every_item_in_the_workers() {
    let next = |held: &Arc<Held>| {
        let held = held.clone();
        async move {
            held.queue.close();
            while let Some(ended) = held.workers.lock().await.next().await {
                drop(ended);
                held.seen.fetch_add(1, Relaxed);
            }
        }
    };
    assert!(every_await(held, next, six).unwrap() >= 6);
}

#[test]
fn dropped_at_any_await_drain_leaves_every_item_in_the_workers() {
    let drain = |held: &Arc<Held>| {
        let held = held.clone();
        async move {
            let report = held.workers.lock().await.drain().await;
            held.seen.fetch_add(report.done.len() + report.failed.len(), Relaxed);
        }
    };
    assert!(every_await(held, drain, six).unwrap() >= 3);
    let drain_until = |held: &Arc<Held>| {
        let held = held.clone();
        async move {
            let report = held.workers.lock().await.drain_until(sleep(ms(15))).await;
            held.seen.fetch_add(report.done.len() + report.failed.len() + report.left.len(), Relaxed);
        }
    };
    // Here some are never begun.
    let six = async |held: Arc<Held>| match six(held).await {
        Err(told) if !told.starts_with("6 of 6") => Err(told),
        _ => Ok(()),
    };
    assert!(every_await(held, drain_until, six).unwrap() >= 2);
}

#[test]
fn dropped_at_any_await_run_leaves_no_task_and_no_call_behind() {
    let awaits = every_await(
        || failing(&Recorder::new("")),
        |backend| {
            let backend = backend.clone();
            async move {
                drop(queue::run(stream::iter(0..9), settings(2, 3), move |id| backend.fetch(id)).await);
            }
        },
        async |backend| match (backend.in_flight(), backend.calls()) {
            (0, calls) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
            (n, _) => Err(format!("{n} calls in flight")),
        },
    );
    assert!(awaits.unwrap() >= 3);
    let awaits = every_await(
        || failing(&Recorder::new("")),
        |backend| {
            let backend = backend.clone();
            async move {
                let work = move |id| backend.fetch(id);
                drop(queue::run_until(sleep(ms(15)), stream::iter(0..9), settings(2, 3), work).await);
            }
        },
        async |backend| if backend.in_flight() == 0 { Ok(()) } else { Err(String::from("calls in flight")) },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn a_push_that_is_dropped_while_it_waits_is_not_accepted_and_takes_no_room() {
    let full = || {
        let (queue, workers) = fetching(settings(2, 1), &Backend::new(&Recorder::new("")));
        queue.try_push(0).unwrap();
        queue.try_push(1).unwrap();
        let (workers, accepted) = (Arc::new(tokio::sync::Mutex::new(workers)), Arc::new(AtomicUsize::new(2)));
        let theirs = workers.clone();
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            sleep(ms(5)).await;
            // Begins the first, and so makes room.
            assert!(theirs.lock().await.next().now_or_never().is_none());
        });
        (queue, workers, accepted, reader)
    };
    let awaits = every_await(
        full,
        |(queue, _, accepted, _)| {
            let (queue, accepted) = (queue.clone(), accepted.clone());
            async move {
                queue.push(2).await.unwrap();
                accepted.fetch_add(1, Relaxed);
            }
        },
        async |(queue, workers, accepted, _)| {
            let room = queue.try_push(3).is_ok();
            let (n, accepted) = (workers.lock().await.drain().await.done.len(), accepted.load(Relaxed));
            let wanted = accepted + usize::from(room);
            if n == wanted && (room || accepted == 3) { Ok(()) } else { Err(format!("{n}, not {wanted}")) }
        },
    );
    assert!(awaits.unwrap() >= 1);
    sim(async |sim| {
        let (queue, mut workers) = fetching(settings(1, 1), &Backend::new(sim.recorder()));
        queue.push(0).await.unwrap();
        for id in 1..50 {
            assert!(timeout(ms(1), queue.push(id)).await.is_err());
        }
        assert_eq!(items(&workers.drain().await.done), [0]);
    });
}

#[test]
fn closed_can_be_dropped_at_any_await() {
    let awaits = every_await(
        || queue(settings(1, 1), |n: u32| ready(Ok::<_, ()>(n))),
        |(queue, _)| {
            let queue = queue.clone();
            async move {
                let close = async {
                    sleep(ms(5)).await;
                    queue.close();
                };
                tokio::join!(queue.closed(), close);
            }
        },
        async |(queue, mut workers)| {
            // It only looked: an item is accepted, unless the queue was closed.
            let accepted = usize::from(queue.push(1).await.is_ok());
            let done = workers.drain().await.done.len();
            if done == accepted { Ok(()) } else { Err(format!("{done} done")) }
        },
    );
    assert!(awaits.unwrap() >= 1);
}

#[test]
fn dropped_workers_leave_no_task_behind() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder());
        let (queue, mut workers) = fetching(settings(5, 3), &backend);
        for id in 0..5 {
            queue.push(id).await.unwrap();
        }
        assert!(timeout(ms(5), workers.next()).await.is_err());
        assert_eq!(backend.in_flight(), 3);
        drop(workers);
        assert_eq!((tasks_left().await, backend.in_flight()), (0, 0));
    });
}

#[test]
fn a_source_that_panics_panics_the_caller_and_leaves_nothing_behind() {
    sim(async |sim| {
        let backend = Backend::new(sim.recorder());
        let work = backend.clone();
        let source = stream::iter(0..5).map(|id| {
            assert!(id < 3, "the source is torn");
            id
        });
        let run = queue::run(source, settings(1, 1), move |id| work.fetch(id));
        let ended = std::panic::AssertUnwindSafe(run).catch_unwind().await;
        assert!(ended.is_err());
        assert_eq!((tasks_left().await, backend.in_flight()), (0, 0));
    });
}

#[test]
fn a_receiver_behind_a_mutex_that_is_held_while_working_does_one_at_a_time() {
    // What the page says of it, in numbers.
    for (hold, peak, takes) in [(true, 1, 60), (false, 3, 20)] {
        sim(async move |_| {
            let (send, items) = tokio::sync::mpsc::channel(6);
            for n in 0..6 {
                send.send(n).await.unwrap();
            }
            drop(send);
            let (items, gauge) = (Arc::new(tokio::sync::Mutex::new(items)), Gauge::new());
            let start = Instant::now();
            let mut workers = JoinSet::new();
            for _ in 0..3 {
                let (items, gauge) = (items.clone(), gauge.clone());
                workers.spawn(async move {
                    loop {
                        let mut items = items.lock().await;
                        let Some(n) = items.recv().await else { return };
                        let guard = hold.then_some(items);
                        gauge.hold(format!("item {n}"), sleep(ms(10))).await;
                        drop(guard);
                    }
                });
            }
            while workers.join_next().await.is_some() {}
            gauge.assert_peak(peak);
            assert_eq!(start.elapsed(), ms(takes));
        });
    }
}

#[test]
fn it_can_be_spawned_and_loses_nothing_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let work = |n: u32| async move {
            yield_now().await;
            if n.is_multiple_of(7) { Err(n) } else { Ok(n) }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(queue::run(stream::iter(0..2000), settings(4, 3), work));
        let report = tasks.join_next().await.unwrap().unwrap();
        assert_eq!((report.done.len(), report.failed.len(), report.left.len()), (1714, 286, 0));

        // Producers race with a close: what was accepted comes out, and what was not came back.
        for _ in 0..200 {
            let (queue, mut workers) = queue(settings(2, 2), work);
            let mut producers = JoinSet::new();
            for _ in 0..3 {
                let queue = queue.clone();
                producers.spawn(async move {
                    let mut accepted = 0;
                    while queue.push(1).await.is_ok() {
                        accepted += 1;
                    }
                    accepted
                });
            }
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut out = 0;
                for _ in 0..20 {
                    out += usize::from(workers.next().await.is_some());
                }
                let report = workers.drain_until(yield_now()).await;
                out + report.done.len() + report.failed.len() + report.left.len()
            });
            let accepted: usize = producers.join_all().await.into_iter().sum();
            assert_eq!(tasks.join_next().await.unwrap().unwrap(), accepted);
        }
    });
    // Its futures go where tasks go.
    fn is_send<T: Send>(_: T) {}
    let (queue, mut workers) = queue(settings(1, 1), |n: u32| async move { Ok::<_, ()>(n) });
    is_send(queue.push(1));
    is_send(queue.closed());
    is_send(pin!(workers.next()));
    is_send(workers.drain_until(pending::<()>()));
}

#[test]
fn a_deadline_holds_though_a_producer_that_has_a_place_is_not_polled_and_it_gets_its_item_back() {
    sim(async |_| {
        let (queue, mut workers) = queue(settings(1, 1), async |_: u32| Ok::<_, ()>(()));
        queue.push(1).await.expect("it is open");
        let mut second = pin!(queue.push(2));
        assert!(second.as_mut().now_or_never().is_none());
        // There is room now, and it is the second's, which nobody polls.
        assert!(workers.next().await.is_some());

        let report = timeout(ms(60_000), workers.drain_until(sleep(ms(10)))).await;
        let report = report.expect("the deadline was 10 ms");
        assert!(report.done.is_empty() && report.failed.is_empty() && report.left.is_empty());
        assert_eq!(second.await.map_err(Refused::into_item), Err(2));
        assert!(workers.next().await.is_none());
    });
}

#[test]
fn an_item_whose_clone_panics_has_panicked() {
    #[derive(Debug)]
    struct Once(Arc<AtomicUsize>);
    impl Clone for Once {
        fn clone(&self) -> Self {
            assert_eq!(self.0.fetch_add(1, Relaxed), 0, "cloned again");
            Self(self.0.clone())
        }
    }
    sim(async |_| {
        let settings = Settings { on_error: times(3), ..settings(4, 1) };
        let (queue, mut workers) = queue(settings, async |_: Once| Err::<(), _>("again"));
        queue.push(Once(Arc::default())).await.expect("it is open");
        let report = workers.drain().await;
        assert!(matches!(&report.failed[..], [Ended { attempts: 2, outcome: Settled::Panicked(_), .. }]));
    });
}

#[test]
fn a_capacity_of_whatever_size_is_taken() {
    let settings = Settings { capacity: NonZeroUsize::MAX, ..settings(1, 1) };
    let (queue, workers) = queue(settings, async |_: u32| Ok::<_, ()>(()));
    assert!(queue.try_push(1).is_ok());
    drop(workers);
}
