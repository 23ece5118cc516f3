//! What `first` promises.

use common::{
    Backend, Recorder,
    backend::{FetchError, Outcome, Reply},
    clock::paused,
};
use concurrency::{Settled, first, first::FirstError};
use futures_util::FutureExt as _;
use std::{
    cell::Cell,
    future::{pending, poll_fn, ready},
    iter::from_fn,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use testing::{
    every_await,
    explore::Exploration,
    latencies::{latencies, shuffled},
    proof::Ledger,
    simulate,
    simulation::End,
};
use tokio::{
    sync::oneshot,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

type Answer = Result<(usize, Reply), FirstError<Reply, FetchError>>;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("limits are not zero")
}

/// Call number i takes this long and ends like this.
fn backend(recorder: &Recorder, calls: &[(u64, Outcome)]) -> Backend {
    (0..).zip(calls).fold(Backend::new(recorder), |backend, (id, (latency, outcome))| {
        backend.on(id, ms(*latency), *outcome)
    })
}

/// Both ways to run attempts: as futures, and in tasks.
async fn both_ways<T>(question: impl AsyncFn(bool) -> T) -> [T; 2] {
    [question(false).await, question(true).await]
}

async fn success(backend: &Backend, ids: std::ops::Range<u32>, in_tasks: bool) -> Answer {
    let attempts = first::of(ids.map(|id| backend.fetch(id)));
    if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await }
}

async fn hedged(backend: &Backend, count: u32, delay: Duration, limit: usize, in_tasks: bool) -> Answer {
    let attempts = first::of((0..count).map(|id| backend.fetch(id))).hedged(delay, n(limit));
    if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await }
}

/// Nobody is in flight in this very moment, without a yield in between.
fn nobody_is_left(backend: &Backend) {
    assert_eq!(backend.in_flight(), 0, "calls in flight on return");
    assert!(backend.calls().iter().all(|call| call.ended.is_some()));
}

#[test]
fn the_first_success_wins_whoever_is_first_to_fail() {
    use Outcome::{Fail, Panic, Reply};
    let calls = [(50, Fail), (5, Fail), (7, Panic), (20, Reply), (30, Reply), (900, Reply)];
    for in_tasks in [false, true] {
        let run = simulate("", async |recorder| {
            let backend = backend(&recorder, &calls);
            let (attempt, reply) = success(&backend, 0..6, in_tasks).await.expect("the fourth replies");
            nobody_is_left(&backend);
            assert_eq!(backend.peak(), 6, "all at once");
            (attempt, reply.id)
        });
        assert_eq!((run.end, run.elapsed, run.leaked), (End::Returned((3, 3)), ms(20), 0));
    }
}

#[test]
fn the_first_to_finish_may_have_failed_or_panicked() {
    for in_tasks in [false, true] {
        for outcome in [Outcome::Fail, Outcome::Panic, Outcome::Reply] {
            let run = simulate("", async |recorder| {
                let backend = backend(&recorder, &[(50, Outcome::Reply), (5, outcome)]);
                let attempts = first::of((0..2).map(|id| backend.fetch(id)));
                let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
                let (attempt, settled) = attempts.finished().await.expect("there are two");
                nobody_is_left(&backend);
                assert_eq!(attempt, 1);
                match (outcome, settled) {
                    (Outcome::Fail, Settled::Failed(FetchError::Unavailable { id: 1 }))
                    | (Outcome::Reply, Settled::Ok(Reply { id: 1, .. })) => {}
                    (Outcome::Panic, Settled::Panicked(panic)) => {
                        assert_eq!(panic.message(), "item 1 is cursed");
                    }
                    (_, other) => panic!("{outcome:?} came as {other:?}"),
                }
            });
            assert_eq!((run.end, run.elapsed, run.leaked), (End::Returned(()), ms(5), 0));
        }
    }
}

#[test]
fn if_none_succeeds_every_failure_comes_back_in_input_order() {
    for seed in 0..30 {
        for in_tasks in [false, true] {
            for hedge in [false, true] {
                let latencies = latencies(seed, 6);
                paused(async {
                    let recorder = Recorder::new("");
                    let mut backend = Backend::new(&recorder);
                    for (id, latency) in (0..).zip(&latencies) {
                        let outcome = if id == 2 { Outcome::Panic } else { Outcome::Fail };
                        backend = backend.on(id, *latency, outcome);
                    }
                    let answer = if hedge {
                        hedged(&backend, 6, ms(15), 3, in_tasks).await
                    } else {
                        success(&backend, 0..6, in_tasks).await
                    };
                    let Err(FirstError::TooFew { wanted: 1, outcomes }) = answer else {
                        panic!("{answer:?}")
                    };
                    assert_eq!(outcomes.len(), 6);
                    for (id, outcome) in (0..).zip(&outcomes) {
                        match outcome {
                            Settled::Failed(FetchError::Unavailable { id: whose }) => assert_eq!(*whose, id),
                            Settled::Panicked(panic) => {
                                assert_eq!((id, panic.message()), (2, "item 2 is cursed"));
                            }
                            other => panic!("{id}: {other:?}"),
                        }
                    }
                });
            }
        }
    }
}

#[test]
fn the_message_has_every_failure() {
    paused(async {
        let backend = backend(
            &Recorder::new(""),
            &[(9, Outcome::Fail), (5, Outcome::Panic), (7, Outcome::Reply), (90, Outcome::Reply)],
        );
        let error = success(&backend, 0..2, false).await.expect_err("both fail");
        assert_eq!(
            error.to_string(),
            "0 of 2 attempts succeeded, not 1; 0: item 0 is unavailable; 1 panicked: item 1 is cursed"
        );
        let error =
            first::of((0..4).map(|id| backend.fetch(id))).successes(n(3)).await.expect_err("two fail");
        assert_eq!(
            error.to_string(),
            "1 of 4 attempts succeeded, not 3; 0: item 0 is unavailable; 1 panicked: item 1 is cursed"
        );
        let error = success(&backend, 0..0, false).await.expect_err("there are none");
        assert_eq!(error.to_string(), "too few attempts: 0, and 1 are to succeed");
    });
}

#[test]
fn no_attempts_are_an_error_and_no_panic() {
    let nothing = |error| matches!(error, FirstError::NotEnoughAttempts { attempts: 0, wanted: 1 });
    let run = simulate("", async |_| {
        let none = || from_fn(|| None::<std::future::Ready<Result<(), ()>>>);
        assert!(nothing(first::of(none()).success().await.expect_err("none")));
        assert!(nothing(first::of(none()).finished().await.expect_err("none")));
        assert!(nothing(first::of(none()).in_tasks().success().await.expect_err("none")));
        assert!(nothing(first::of(none()).hedged(ms(5), n(2)).success().await.expect_err("none")));
        assert!(nothing(first::of(none().take(0)).hedged(ms(5), n(2)).finished().await.expect_err("none")));
    });
    assert_eq!((run.end, run.elapsed), (End::Returned(()), ms(0)));
}

#[test]
fn a_quorum_comes_in_order_of_completion_and_the_rest_is_gone() {
    for seed in 0..40 {
        for wanted in 1..=6 {
            for in_tasks in [false, true] {
                let latencies = latencies(seed, 6);
                let run = simulate("", async |recorder| {
                    let mut backend = Backend::new(&recorder);
                    for (id, latency) in (0..).zip(&latencies) {
                        backend = backend.on(id, *latency, Outcome::Reply);
                    }
                    let attempts = first::of((0..6).map(|id| backend.fetch(id)));
                    let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
                    let quorum = attempts.successes(n(wanted)).await.expect("all six reply");
                    nobody_is_left(&backend);
                    quorum.into_iter().map(|(attempt, _)| latencies[attempt]).collect::<Vec<_>>()
                });
                let quickest: Vec<_> = (1..=wanted as u64).map(|k| ms(10 * k)).collect();
                assert_eq!((run.end, run.elapsed), (End::Returned(quickest), ms(10 * wanted as u64)));
            }
        }
    }
}

#[test]
fn a_quorum_that_cannot_be_reached_is_given_up_at_once_and_says_who_was_stopped() {
    use Outcome::{Fail, Reply};
    for in_tasks in [false, true] {
        let run = simulate("", async |recorder| {
            let backend =
                backend(&recorder, &[(900, Reply), (30, Fail), (10, Reply), (20, Fail), (40, Fail)]);
            let attempts = first::of((0..5).map(|id| backend.fetch(id)));
            let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
            let answer = attempts.successes(n(3)).await;
            nobody_is_left(&backend);
            let Err(FirstError::TooFew { wanted: 3, outcomes }) = answer else { panic!("{answer:?}") };
            outcomes
        });
        let End::Returned(outcomes) = run.end else { panic!("{:?}", run.end) };
        assert!(matches!(
            outcomes.as_slice(),
            [Settled::Cancelled, Settled::Failed(_), Settled::Ok(_), Settled::Failed(_), Settled::Failed(_)]
        ));
        assert_eq!(run.elapsed, ms(40), "two may fail, and the third has at 40 ms");
    }
}

#[test]
fn fewer_attempts_than_successes_wanted_begin_nothing() {
    paused(async {
        for in_tasks in [false, true] {
            let backend = Backend::new(&Recorder::new(""));
            let attempts = first::of((0..2).map(|id| backend.fetch(id))).hedged(ms(5), n(1));
            let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
            let answer = attempts.successes(n(3)).await;
            assert!(matches!(answer, Err(FirstError::NotEnoughAttempts { attempts: 2, wanted: 3 })));
            // An iterator that does not know how many it has: the futures are made, and not polled.
            let mut ids = 0..2;
            let unknown = first::of(from_fn(|| ids.next().map(|id| backend.fetch(id))));
            let unknown = if in_tasks { unknown.in_tasks() } else { unknown };
            let answer = unknown.successes(n(3)).await;
            let Err(FirstError::TooFew { wanted: 3, outcomes }) = answer else { panic!("{answer:?}") };
            assert!(matches!(outcomes.as_slice(), [Settled::Cancelled, Settled::Cancelled]));
            assert!(backend.calls().is_empty());
        }
    });
}

#[test]
fn of_those_that_end_at_the_same_moment_the_first_in_input_order_wins() {
    for seed in 0..40 {
        paused(async {
            // Asked for in one order, answered in the same moment, or before it for those that fail.
            let ids = shuffled(seed, 8);
            let recorder = Recorder::new("");
            let mut backend = Backend::new(&recorder);
            let loses = |id: u32| id <= 3;
            for id in &ids {
                let outcome = if loses(*id) { Outcome::Fail } else { Outcome::Reply };
                backend = backend.on(*id, ms(20), outcome);
            }
            let winner = ids.iter().position(|id| !loses(*id)).expect("five of eight reply");
            for in_tasks in [false, true] {
                let attempts = first::of(ids.iter().map(|id| backend.fetch(*id)));
                let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
                assert_eq!(attempts.success().await.expect("five reply").0, winner);
            }
        });
    }
}

#[test]
fn under_every_schedule_the_first_of_those_that_have_ended_wins() {
    for in_tasks in [false, true] {
        let tried = Exploration::new().seeds(0..400).check(async move |schedule| {
            let (mut senders, mut attempts) = (Vec::new(), Vec::new());
            for _ in 0..6 {
                let (sender, receiver) = oneshot::channel::<u32>();
                senders.push(sender);
                attempts.push(receiver);
            }
            let race = first::of(attempts);
            let race = if in_tasks { race.in_tasks() } else { race };
            // It does not run while all six answer, one after the other, in an order that follows from the seed.
            let (go, gone) = oneshot::channel::<()>();
            let caller = schedule.spawn("caller", async move {
                let mut race = pin!(race.success());
                // Everybody begins ...
                assert!(poll_fn(|cx| Poll::Ready(race.as_mut().poll(cx))).await.is_pending());
                gone.await.expect("the test says when");
                race.await
            });
            schedule.sim().settle().await;
            let order = shuffled(schedule.sim().random().u64(..), 6);
            let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
            for id in order {
                let sender = senders[id as usize - 1].take().expect("each once");
                sender.send(id).expect("nobody has lost yet");
            }
            // ... and everybody has ended when it looks.
            schedule.sim().settle().await;
            go.send(()).expect("it waits");
            let (attempt, value) = caller.await.unwrap().unwrap();
            assert_eq!((attempt, value), (0, 1));
        });
        assert_eq!(tried.unwrap(), 400);
    }
}

#[test]
fn under_every_schedule_it_gives_one_answer_and_leaves_nobody() {
    for in_tasks in [false, true] {
        let tried = Exploration::new().seeds(0..300).check(async move |schedule| {
            let recorder = schedule.sim().recorder().clone();
            let latencies = latencies(schedule.sim().random().u64(..), 5);
            let mut backend = Backend::new(&recorder);
            for (id, latency) in (0..).zip(&latencies) {
                let outcome = if id % 2 == 0 { Outcome::Fail } else { Outcome::Reply };
                backend = backend.on(id, *latency, outcome);
            }
            let calls = backend.clone();
            let caller = schedule.spawn("caller", async move {
                let answer = hedged(&calls, 5, ms(25), 2, in_tasks).await;
                nobody_is_left(&calls);
                answer
            });
            let (attempt, reply) = caller.await.unwrap().unwrap();
            assert_eq!((attempt % 2, reply.id as usize), (1, attempt));
            assert!(backend.peak() <= 2);
        });
        assert_eq!(tried.unwrap(), 300);
    }
}

/// When each call of a hedge should begin, and when the hedge should return, worked out by hand.
fn course(
    latencies: &[Duration],
    replies: &[bool],
    delay: Duration,
    limit: usize,
) -> (Vec<Duration>, Duration) {
    let (mut begun, mut in_flight): (Vec<Duration>, Vec<(Duration, bool)>) = (Vec::new(), Vec::new());
    let mut now = ms(0);
    let mut due = now;
    loop {
        while due <= now && in_flight.len() < limit && begun.len() < latencies.len() {
            in_flight.push((now + latencies[begun.len()], replies[begun.len()]));
            begun.push(now);
            due = now + delay;
        }
        let Some(at) = in_flight.iter().map(|(at, _)| *at).min() else { return (begun, now) };
        if due > now && due < at && in_flight.len() < limit && begun.len() < latencies.len() {
            now = due;
            continue;
        }
        // Everybody who ends in this moment is heard before anybody begins.
        now = at;
        if in_flight.contains(&(at, true)) {
            return (begun, now);
        }
        in_flight.retain(|(ends, _)| *ends > at);
        due = now;
    }
}

#[test]
fn a_hedge_begins_the_next_after_the_delay_or_at_once_on_a_failure_and_never_too_many() {
    let (mut full, mut hedges) = (0, 0);
    for seed in 0..400_u64 {
        let (count, limit) = (1 + seed as usize % 7, 1 + seed as usize / 7 % 4);
        // Odd, so that no call ends in the moment in which the next is due.
        let latencies: Vec<_> = latencies(seed, count).into_iter().map(|latency| latency + ms(1)).collect();
        let delay = ms([20, 30, 50, 0][seed as usize % 4]);
        let replies: Vec<bool> = shuffled(seed, count as u32).iter().map(|k| k % 3 == 0).collect();
        let (begin, end) = course(&latencies, &replies, delay, limit);
        for in_tasks in [false, true] {
            let run = simulate("", async |recorder| {
                let mut backend = Backend::new(&recorder);
                for (id, (latency, replies)) in (0..).zip(latencies.iter().zip(&replies)) {
                    backend = backend.on(id, *latency, if *replies { Outcome::Reply } else { Outcome::Fail });
                }
                let answer = hedged(&backend, count as u32, delay, limit, in_tasks).await;
                nobody_is_left(&backend);
                assert!(backend.peak() <= limit);
                full += usize::from(backend.peak() == limit);
                hedges += usize::from(backend.peak() > 1);
                let begun: Vec<_> = backend.calls().iter().map(|call| call.started).collect();
                (begun, answer.is_ok())
            });
            let wanted = (
                begin.clone(),
                begin
                    .iter()
                    .zip(&replies)
                    .zip(&latencies)
                    .any(|((begun, replies), latency)| *replies && *begun + *latency == end),
            );
            assert_eq!(
                (run.end, run.elapsed),
                (End::Returned(wanted), end),
                "seed {seed}, in tasks {in_tasks}"
            );
        }
    }
    println!("{full} {hedges}");
    assert!(full > 300 && hedges > 300, "{full} {hedges}: the cases are too tame");
}

#[test]
fn an_attempt_that_ends_when_the_next_is_due_is_heard_first() {
    paused(async {
        let backend = backend(&Recorder::new(""), &[(20, Outcome::Reply)]);
        let (attempt, _) = hedged(&backend, 4, ms(20), 4, false).await.unwrap();
        assert_eq!((attempt, backend.calls().len()), (0, 1));
        // Two end at once; the failure of the first must not begin a third beside the success of the second.
        let recorder = Recorder::new("");
        let backend = self::backend(&recorder, &[(20, Outcome::Fail), (10, Outcome::Reply)]);
        let (attempt, _) = hedged(&backend, 4, ms(10), 4, false).await.unwrap();
        assert_eq!((attempt, backend.calls().len()), (1, 2));
    });
}

#[test]
fn a_delay_longer_than_any_clock_is_no_hedge_but_still_a_fail_over() {
    paused(async {
        let backend = backend(&Recorder::new(""), &[(500, Outcome::Fail), (700, Outcome::Reply)]);
        let start = Instant::now();
        assert_eq!(hedged(&backend, 2, Duration::MAX, 2, false).await.unwrap().0, 1);
        assert_eq!((start.elapsed(), backend.peak()), (ms(1200), 1));
    });
}

#[test]
fn attempts_are_made_only_when_they_begin_also_from_an_endless_source() {
    paused(async {
        let [here, in_tasks] = both_ways(async |in_tasks| {
            let made = Cell::new(0);
            let backend =
                backend(&Recorder::new(""), &[(5, Outcome::Fail), (5, Outcome::Panic), (5, Outcome::Fail)]);
            let endless = (0..).inspect(|_| made.set(made.get() + 1)).map(|id| backend.fetch(id));
            let attempts = first::of(endless).hedged(ms(50), n(2));
            let (attempt, _) =
                if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await }
                    .unwrap();
            (attempt, made.get())
        })
        .await;
        assert_eq!((here, in_tasks), ((3, 4), (3, 4)));
    });
}

#[test]
fn attempts_may_borrow() {
    paused(async {
        let names = [String::from("near"), String::from("far")];
        let ask = async |name: &str, latency| {
            sleep(ms(latency)).await;
            Ok::<_, ()>(name.len())
        };
        assert_eq!(first::of([ask(&names[0], 9), ask(&names[1], 5)]).success().await.unwrap(), (1, 3));
    });
}

#[test]
fn on_return_the_destructors_of_the_losers_have_run() {
    for in_tasks in [false, true] {
        let run = simulate("", async |_| {
            let ledger = Ledger::new();
            let attempts = (0..5_u64).map(|k| {
                let ledger = ledger.clone();
                async move {
                    let _entry = ledger.entry(format!("attempt {k}"));
                    // The last has ended its work, and only gives way before it says so.
                    sleep(ms(if k == 4 { 20 } else { 20 + k })).await;
                    Ok::<_, ()>(k)
                }
            });
            let attempts = first::of(attempts);
            let answer =
                if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await };
            ledger.assert_all_ended();
            assert_eq!(ledger.lines().len(), 5);
            answer.unwrap()
        });
        assert_eq!((run.end, run.leaked), (End::Returned((0, 0)), 0));
    }
}

#[test]
fn attempts_that_never_end_are_dropped_unread() {
    paused(async {
        let attempts = [pending::<Result<u8, ()>>().boxed(), ready(Ok(7)).boxed()];
        assert_eq!(timeout(ms(1), first::of(attempts).success()).await.unwrap().unwrap(), (1, 7));
    });
}

#[test]
fn a_panic_before_the_first_await_is_an_outcome_too() {
    for in_tasks in [false, true] {
        let run = simulate("", async |_| {
            let attempts = first::of((0..3).map(|k| async move {
                assert_ne!(k, 0, "not for nought");
                yield_now().await;
                Ok::<_, ()>(k)
            }));
            if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await }.unwrap()
        });
        assert_eq!(run.end, End::Returned((1, 1)));
    }
}

#[test]
fn a_panic_of_the_iterator_is_the_callers_and_leaves_nobody() {
    for in_tasks in [false, true] {
        let run = simulate("", async |recorder| {
            let backend = Backend::new(&recorder);
            let attempts = first::of((0..3).map(|id| {
                assert_ne!(id, 2, "no third");
                backend.fetch(id)
            }));
            let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
            let panicked = AssertUnwindSafe(attempts.success()).catch_unwind().await.is_err();
            (panicked, backend.in_flight())
        });
        assert_eq!((run.end, run.leaked), (End::Returned((true, 0)), 0));
    }
}

#[test]
fn dropped_at_any_await_it_leaves_no_attempt_and_no_task_behind() {
    let calls = [
        (30, Outcome::Fail),
        (40, Outcome::Panic),
        (90, Outcome::Reply),
        (25, Outcome::Fail),
        (70, Outcome::Reply),
    ];
    for question in 0..4 {
        for in_tasks in [false, true] {
            let awaits = every_await(
                || backend(&Recorder::new(""), &calls),
                |backend| {
                    let backend = backend.clone();
                    async move {
                        let attempts = first::of((0..5).map(|id| backend.fetch(id)));
                        let attempts = if in_tasks { attempts.in_tasks() } else { attempts };
                        match question {
                            0 => drop(attempts.finished().await),
                            1 => drop(attempts.success().await),
                            2 => drop(attempts.successes(n(2)).await),
                            _ => drop(attempts.hedged(ms(20), n(3)).successes(n(2)).await),
                        }
                    }
                },
                async |backend| match (backend.in_flight(), backend.calls()) {
                    (0, calls) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
                    (n, _) => Err(format!("{n} calls in flight")),
                },
            );
            assert!(awaits.unwrap() >= [1, 2, 3, 5][question], "question {question}");
        }
    }
}

#[test]
fn aborted_with_its_caller_it_makes_no_more_attempts() {
    for in_tasks in [false, true] {
        let run = simulate("", async |recorder| {
            let backend = Backend::new(&recorder).latency(ms(500));
            let calls = backend.clone();
            let mut callers = JoinSet::new();
            callers.spawn(async move { hedged(&calls, 9, ms(10), 9, in_tasks).await });
            sleep(ms(35)).await;
            callers.shutdown().await;
            // The callers' tasks are aborted, and gone when the scheduler next looks.
            yield_now().await;
            let begun = backend.calls().len();
            assert_eq!((backend.in_flight(), begun), (0, 4));
            sleep(ms(2000)).await;
            backend.calls().len() - begun
        });
        assert_eq!((run.end, run.leaked), (End::Returned(0), 0));
    }
}

#[test]
fn moved_to_another_task_half_way_it_wakes_that_one() {
    for in_tasks in [false, true] {
        let run = simulate("", async |recorder| {
            let backend = backend(&recorder, &[(500, Outcome::Reply), (40, Outcome::Reply)]);
            let mut race = Box::pin(async move { hedged(&backend, 2, ms(10), 2, in_tasks).await });
            // Polled here once, with this task's waker, and then by another.
            assert!(timeout(ms(5), &mut race).await.is_err());
            let mut others = JoinSet::new();
            others.spawn(race);
            others.join_next().await.unwrap().unwrap().unwrap().0
        });
        assert_eq!((run.end, run.elapsed), (End::Returned(1), ms(50)));
    }
}

#[test]
fn it_can_be_spawned_and_runs_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let alive = Arc::new(AtomicUsize::new(0));
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        for round in 0..500_usize {
            for in_tasks in [false, true] {
                let alive = alive.clone();
                let race = async move {
                    let attempts = first::of((0..6_usize).map(|k| {
                        alive.fetch_add(1, Relaxed);
                        let here = Alive(alive.clone());
                        async move {
                            let _here = here;
                            for _ in 0..(k * 7 + round) % 5 {
                                yield_now().await;
                            }
                            if k % 3 == 0 { Err(k) } else { Ok(k) }
                        }
                    }));
                    let answer =
                        if in_tasks { attempts.in_tasks().success().await } else { attempts.success().await };
                    (answer, alive.load(Relaxed))
                };
                let mut tasks = JoinSet::new();
                tasks.spawn(race);
                let (answer, alive) = tasks.join_next().await.unwrap().unwrap();
                let (attempt, value) = answer.unwrap();
                assert_eq!((attempt, attempt % 3 != 0, alive), (value, true, 0));
            }
        }
    });
}

#[test]
fn a_hedged_quorum_gives_up_before_it_begins_what_can_no_longer_suffice() {
    paused(async {
        let begun = Arc::new(AtomicUsize::new(0));
        let attempts: Vec<_> = (0..10)
            .map(|k| {
                let begun = begun.clone();
                async move {
                    begun.fetch_add(1, Relaxed);
                    sleep(ms(10)).await;
                    if k == 0 { Err("no") } else { Ok(k) }
                }
            })
            .collect();
        let start = Instant::now();
        let all = first::of(attempts).hedged(ms(1000), NonZeroUsize::MIN).successes(n(10)).await;
        assert!(matches!(all, Err(FirstError::TooFew { .. })));
        assert_eq!((begun.load(Relaxed), start.elapsed()), (1, ms(10)));
    });
}
