//! What `partial` promises.

use common::{
    Backend, Recorder,
    backend::{CallEnd, FetchError, Outcome, Reply},
    clock::paused,
};
use concurrency::{
    GiveUp, Retryable, partial,
    partial::{Failure, Report},
    partial_until,
};
use std::{
    cell::Cell,
    error::Error,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{every_await, latencies, latencies::best_time, latencies::shuffled, simulate, simulation::End};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

/// An error of a source: one that may pass, and one that will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("busy")]
    Busy,
    #[error("no such item")]
    Unknown,
}

impl Retryable for Refusal {
    fn is_retryable(&self) -> bool {
        *self == Self::Busy
    }

    fn had_no_effect(&self) -> bool {
        *self == Self::Busy
    }

    fn retry_after(&self) -> Option<Duration> {
        (*self == Self::Busy).then_some(ms(30))
    }
}

/// `v`: a value, `b`: busy, `u`: unknown, `p`: a panic, each after its milliseconds.
async fn scripted(what: char, after: u64) -> Result<char, Refusal> {
    sleep(ms(after)).await;
    match what {
        'b' => Err(Refusal::Busy),
        'u' => Err(Refusal::Unknown),
        'p' => std::panic::resume_unwind(Box::new("cursed")),
        other => Ok(other),
    }
}

/// A letter a key, in input order: `.` for one that was not started.
fn told<T, E: Retryable>(report: &Report<usize, T, E>, keys: usize) -> String {
    let letter = |key: usize| {
        let ok = report.ok.iter().filter(|(found, _)| *found == key).map(|_| 'v');
        let failed = report.failed.iter().filter(|(found, _)| *found == key).map(|(_, why)| match why {
            Failure::Failed(error) if error.is_retryable() => 'b',
            Failure::Failed(_) => 'u',
            Failure::Panicked(_) => 'p',
            Failure::Cancelled => 'c',
            Failure::NotStarted => '.',
        });
        ok.chain(failed).collect::<Vec<_>>()
    };
    (0..keys).flat_map(letter).collect()
}

/// Runs a script, a letter a key, 10 ms each, and says what the report says.
fn run(give_up: GiveUp, script: &str, limit: usize) -> String {
    let letters: Vec<char> = script.chars().collect();
    let run = simulate("", async |_| {
        partial_until(give_up, 0..letters.len(), n(limit), |key| scripted(letters[*key], 10)).await
    });
    let End::Returned(report) = run.end else { panic!("{:?}", run.end) };
    assert!(report.failed.is_sorted_by_key(|(key, _)| *key), "{report:?}");
    told(&report, letters.len())
}

#[test]
fn each_key_comes_back_once_and_in_input_order_whatever_the_order_of_completion() {
    for seed in 0..60 {
        let keys = shuffled(seed, 8);
        let latencies = latencies(seed, 8);
        for limit in 1..=9 {
            paused(async {
                let mut backend = Backend::new(&Recorder::new(""));
                for (key, latency) in keys.iter().zip(&latencies) {
                    let outcome = match key % 4 {
                        0 => Outcome::Fail,
                        1 => Outcome::Panic,
                        _ => Outcome::Reply,
                    };
                    backend = backend.on(*key, *latency, outcome);
                }
                let start = Instant::now();
                let report = partial(keys.clone(), n(limit), |key| backend.fetch(*key)).await;
                let wanted = |ok: bool| keys.iter().copied().filter(move |key| (key % 4 > 1) == ok);
                assert!(report.ok.iter().all(|(key, reply)| *key == reply.id), "{report:?}");
                assert!(report.ok.iter().map(|(key, _)| *key).eq(wanted(true)), "{report:?}");
                assert!(report.failed.iter().map(|(key, _)| *key).eq(wanted(false)), "{report:?}");
                assert_eq!(backend.peak(), limit.min(8), "calls in flight at once");
                assert_eq!(backend.peak_tasks(), limit.min(8), "tasks alive at once");
                assert_eq!(start.elapsed(), best_time(&latencies, limit), "a free place is filled at once");
            });
        }
    }
}

#[test]
fn equal_keys_are_asked_for_and_kept() {
    paused(async {
        let backend = Backend::new(&Recorder::new("")).on(7, ms(20), Outcome::Fail);
        let report = partial([3, 7, 3, 7, 7], n(2), |key| backend.fetch(*key)).await;
        assert_eq!(report.ok.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(report.failed.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [7, 7, 7]);
        assert_eq!(backend.calls().len(), 5);
    });
}

#[test]
fn keys_need_not_be_cloned_nor_sent() {
    struct Key(std::rc::Rc<u32>);
    paused(async {
        let keys = [1, 2].map(|id| Key(std::rc::Rc::new(id)));
        let report: Report<Key, u32, Refusal> = partial(keys, n(2), |key| {
            let id = *key.0;
            async move { Ok(id) }
        })
        .await;
        assert!(report.ok.iter().all(|(key, value)| *key.0 == *value) && report.is_complete());
    });
}

#[test]
fn nothing_in_gives_an_empty_report() {
    paused(async {
        let report = partial(Vec::<usize>::new(), n(3), |_| scripted('v', 10)).await;
        assert!(report.is_complete() && report.ok.is_empty());
    });
}

#[test]
fn a_failure_keeps_its_type_its_key_and_its_cause() {
    paused(async {
        let backend =
            Backend::new(&Recorder::new("")).on(1, ms(5), Outcome::TimeOut).on(2, ms(9), Outcome::Panic);
        let report = partial(0..4, n(4), |key| backend.fetch(*key)).await;
        assert_eq!(report.ok.len(), 2, "one failure, and one panic, cost the others nothing");
        let [(1, Failure::Failed(error)), (2, Failure::Panicked(panic))] = report.failed.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!(*error, FetchError::TimedOut { id: 1 });
        assert_eq!(panic.message(), "item 2 is cursed");
        assert_eq!(report.failed[0].1.to_string(), "the backend timed out on item 1");
        assert_eq!(report.failed[1].1.to_string(), "panicked: item 2 is cursed");
        assert!(report.failed[0].1.source().is_none(), "it is the error itself, not a wrapping of it");
    });
}

#[test]
fn a_panic_before_the_first_await_is_the_failure_of_its_key() {
    let run = simulate("", async |_| {
        partial(0..3, n(1), |key| {
            assert_ne!(*key, 1, "no future for one");
            scripted('v', 10)
        })
        .await
    });
    let End::Returned(report) = run.end else { panic!("{:?}", run.end) };
    assert_eq!(told(&report, 3), "vpv");
}

#[test]
fn what_is_worth_asking_again_is_told_apart() {
    let report = paused(partial(0..4, n(4), |key| scripted(['b', 'v', 'u', 'p'][*key], 10)));
    assert_eq!(report.retryable().collect::<Vec<_>>(), [&0]);
    let all = paused(partial_until(GiveUp::After(n(1)), 0..4, n(1), |_| scripted('u', 10)));
    assert_eq!(all.retryable().collect::<Vec<_>>(), [&1, &2, &3], "what was not started can be started");
    assert!(all.failed[1].1.had_no_effect() && !all.failed[0].1.had_no_effect());
    assert_eq!((all.failed[0].1.retry_after(), report.failed[0].1.retry_after()), (None, Some(ms(30))));
    let cancelled: Failure<Refusal> = Failure::Cancelled;
    assert!(cancelled.is_retryable() && !cancelled.had_no_effect());
}

#[test]
fn all_or_every_failure() {
    let report = paused(partial(0..3, n(3), |key| scripted(['v', 'b', 'u'][*key], 10)));
    let report = report.complete().expect_err("two have failed");
    assert_eq!((report.ok.len(), report.failed.len()), (1, 2));
    let report = paused(partial(0..3, n(3), |_| scripted('v', 10)));
    assert_eq!(report.complete().expect("nothing failed"), [(0, 'v'), (1, 'v'), (2, 'v')]);
}

#[test]
fn without_a_reason_to_give_up_every_key_is_asked_for() {
    let report = paused(partial(0..50, n(4), |_| scripted('b', 10)));
    assert_eq!(told(&report, 50), "b".repeat(50));
}

#[test]
fn after_so_many_failures_of_any_kind_nothing_is_begun() {
    assert_eq!(run(GiveUp::After(n(3)), "vbvuvpvv", 1), "vbvuvp..");
    assert_eq!(run(GiveUp::After(n(1)), "uvvv", 1), "u...");
    assert_eq!(run(GiveUp::After(n(3)), "bvbvvvv", 1), "bvbvvvv", "two failures are not three");
    assert_eq!(run(GiveUp::After(n(2)), "vvvbb", 1), "vvvbb", "the last one is none too many");
}

#[test]
fn in_a_row_only_failures_that_may_pass_count_and_any_answer_starts_anew() {
    assert_eq!(run(GiveUp::InARow(n(2)), "bvbubvbbvv", 1), "bvbubvbb..");
    assert_eq!(run(GiveUp::InARow(n(2)), "uuuuu", 1), "uuuuu", "who says no such item is there");
    assert_eq!(run(GiveUp::InARow(n(2)), "bpbvv", 1), "bpb..", "a panic is no answer, and no outage");
    assert_eq!(run(GiveUp::InARow(n(2)), "pppvb", 1), "pppvb");
}

#[test]
fn a_failure_in_flight_counts_before_its_place_is_filled() {
    // All four end at the same moment: the second is enough, and none of them leaves its place to another.
    assert_eq!(run(GiveUp::After(n(2)), "bbvvvvvv", 4), "bbvv....");
    assert_eq!(run(GiveUp::After(n(2)), "bvvvbvvvvvvv", 4), "bvvvbvvv....");
}

#[test]
fn what_is_in_flight_when_it_gives_up_is_seen_to_its_end_and_counts() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(0, ms(10), Outcome::Fail).on(1, ms(90), Outcome::Reply);
        let give_up = GiveUp::After(n(1));
        let work = |key: &u32| {
            let call = backend.fetch(*key);
            async { call.await.map_err(|_| Refusal::Busy) }
        };
        let report: Report<u32, Reply, Refusal> = partial_until(give_up, 0..9, n(2), work).await;
        (report, backend)
    });
    let End::Returned((report, backend)) = run.end else { panic!("{:?}", run.end) };
    assert_eq!(run.elapsed, ms(90));
    assert_eq!(report.ok.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [1]);
    assert_eq!(report.failed.len(), 8);
    assert_eq!(backend.calls().len(), 2, "nothing was begun after the failure");
    assert!(backend.calls().iter().all(|call| !matches!(call.ended, Some((_, CallEnd::Dropped)))));
}

#[test]
fn once_given_up_it_stays_so_whatever_the_last_ones_answer() {
    let letters = ['b', 'b', 'v', 'v', 'v', 'v', 'v'];
    let after = [10, 20, 30, 10, 10, 10, 10];
    let run = simulate("", async |_| {
        let give_up = GiveUp::InARow(n(2));
        partial_until(give_up, 0..7, n(3), |key| scripted(letters[*key], after[*key])).await
    });
    let End::Returned(report) = run.end else { panic!("{:?}", run.end) };
    // The fourth begins at 10 ms and ends at 20 ms, after the second in the same moment.
    assert_eq!(told(&report, 7), "bbvv...");
}

#[test]
fn keys_are_pulled_only_when_there_is_room_for_them() {
    paused(async {
        let pulled = Cell::new(0);
        let done = Arc::new(AtomicUsize::new(0));
        let keys = (0..20_000).inspect(|_| pulled.set(pulled.get() + 1));
        let report: Report<_, _, Refusal> = partial(keys, n(3), |key| {
            assert!(pulled.get() <= done.load(Relaxed) + 3, "{} pulled", pulled.get());
            let (key, done) = (*key, done.clone());
            async move {
                sleep(ms(1 + key % 3)).await;
                done.fetch_add(1, Relaxed);
                Ok(())
            }
        })
        .await;
        assert!(report.is_complete());
    });
}

#[test]
fn an_iterator_is_not_asked_again_after_its_end() {
    let mut asked = 0;
    let keys = std::iter::from_fn(|| {
        asked += 1;
        (asked != 3 && asked < 20).then_some(asked)
    });
    let report: Report<_, _, Refusal> = paused(partial(keys, n(1), |_| scripted('v', 10)));
    assert_eq!((report.ok.len(), report.failed.len()), (2, 0));
}

#[test]
fn dropped_at_any_await_it_leaves_no_task_and_no_call_behind() {
    type Call = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let ways: [fn(Backend) -> Call; 2] = [
        |backend| Box::pin(async move { drop(partial(0..9, n(3), |key| backend.fetch(*key)).await) }),
        |backend| {
            let work = move |key: &u32| {
                let call = backend.fetch(*key);
                async { call.await.map_err(|_| Refusal::Busy) }
            };
            Box::pin(async move { drop(partial_until(GiveUp::After(n(2)), 0..9, n(3), work).await) })
        },
    ];
    for way in ways {
        let awaits = every_await(
            || Backend::new(&Recorder::new("")).on(2, ms(70), Outcome::Fail).on(4, ms(3), Outcome::Panic),
            |backend| way(backend.clone()),
            async |backend| match (backend.in_flight(), backend.calls()) {
                (0, calls) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
                (n, _) => Err(format!("{n} calls in flight")),
            },
        );
        assert!(awaits.unwrap() >= 3);
    }
}

#[test]
fn aborted_it_leaves_nothing_behind() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder);
        let called = backend.clone();
        let mut owner = JoinSet::new();
        owner.spawn(async move { drop(partial(0..9, n(3), |key| called.fetch(*key)).await) });
        sleep(ms(15)).await;
        owner.shutdown().await;
        yield_now().await;
        (backend.in_flight(), backend.calls().len())
    });
    assert_eq!(run.end, End::Returned((0, 6)));
    assert_eq!(run.leaked, 0);
}

#[test]
fn it_can_be_spawned_and_counts_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let work = move |key: &usize| {
                let key = *key;
                counted.fetch_add(1, Relaxed);
                async move {
                    yield_now().await;
                    if key % 10 == 9 { Err(Refusal::Busy) } else { Ok(key) }
                }
            };
            partial_until(GiveUp::After(n(50)), 0..2000, n(4), work).await
        });
        let report = tasks.join_next().await.unwrap().unwrap();
        let begun = begun.load(Relaxed);
        assert!((500..2000).contains(&begun), "{begun} begun");
        assert_eq!(report.ok.len() + report.failed.len(), 2000);
        assert!(report.ok.iter().all(|(key, value)| key == value));
        let failed = report.failed.iter().filter(|(_, why)| matches!(why, Failure::Failed(_))).count();
        assert!((50..=53).contains(&failed), "{failed} failed: three were in flight beside the fiftieth");
        assert_eq!(report.failed.len() - failed, 2000 - begun, "the rest is there, by name");
    });
}
