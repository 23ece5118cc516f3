//! What `retry` promises.

use common::{
    Backend, Recorder,
    backend::{CallEnd, FetchError, Outcome},
    clock::paused,
};
use concurrency::{
    AttemptError, Deadline, GaveUp, Idempotency, Retry, RetryBudget, RetryError, Retryable, TimedOut, gather,
    retry::Backoff,
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};
use testing::{every_await, simulate, simulation::End};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// May pass, and nobody knows what was done.
    #[error("reset")]
    Reset,
    /// May pass, and nothing was done.
    #[error("busy")]
    Busy(Option<Duration>),
    #[error("no such item")]
    Unknown,
}

impl Retryable for Refusal {
    fn is_retryable(&self) -> bool {
        *self != Self::Unknown
    }

    fn had_no_effect(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(pause) => *pause,
            _ => None,
        }
    }
}

/// Ten milliseconds each: what an attempt comes to, by its number.
type Script = fn(usize) -> Result<u32, Refusal>;

/// What came of a run: the result, when attempts began, and the time it took.
struct Seen {
    result: Result<u32, RetryError<Refusal>>,
    began: Vec<u64>,
    took: u64,
    keys: Vec<Option<String>>,
}

fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a test takes no ages")
}

fn run(retry: &Retry, total: u64, idempotency: Idempotency, script: Script) -> Seen {
    let simulated = simulate("", async |_| {
        let start = Instant::now();
        let asked = Mutex::new(Vec::new());
        let deadline = Deadline::after("call", ms(total));
        let result = retry
            .run(&deadline, idempotency, async |attempt| {
                asked
                    .lock()
                    .expect("not poisoned")
                    .push((whole(start.elapsed()), attempt.key().map(str::to_owned)));
                sleep(ms(10)).await;
                script(attempt.number)
            })
            .await;
        (result, asked.into_inner().expect("not poisoned"))
    });
    let took = whole(simulated.elapsed);
    let End::Returned((result, asked)) = simulated.end else { panic!("{:?}", simulated.end) };
    let (began, keys) = asked.into_iter().unzip();
    Seen { result, began, took, keys }
}

fn retry(attempts: usize, first: u64, longest: u64) -> Retry {
    Retry::new(n(attempts), Backoff::new(ms(first), ms(longest)))
}

fn why(seen: &Seen) -> (GaveUp, usize) {
    let error = seen.result.as_ref().expect_err("it gave up");
    (error.why, error.attempts.len())
}

#[test]
fn a_success_is_given_at_once_and_ends_it() {
    let seen = run(&retry(5, 100, 1000), 9000, Idempotency::Idempotent, |_| Ok(7));
    assert_eq!((seen.result.unwrap(), seen.began, seen.took), (7, vec![0], 10));
    let seen = run(&retry(5, 0, 0), 9000, Idempotency::Idempotent, |number| {
        if number < 3 { Err(Refusal::Reset) } else { Ok(7) }
    });
    assert_eq!((seen.result.unwrap(), seen.began, seen.took), (7, vec![0, 10, 20], 30));
}

#[test]
fn there_are_as_many_attempts_as_were_given_and_no_pause_after_the_last() {
    for attempts in 1..=6 {
        for seed in 0..20 {
            let seen = run(&retry(attempts, 50, 400).seed(seed), 60_000, Idempotency::Idempotent, |_| {
                Err(Refusal::Reset)
            });
            assert_eq!(why(&seen), (GaveUp::Attempts, attempts));
            assert_eq!(seen.took, seen.began.last().unwrap() + 10, "the last error is given at once");
        }
    }
}

#[test]
fn a_pause_is_drawn_from_nothing_up_to_a_ceiling_that_doubles() {
    let pauses: Vec<Vec<u64>> = (0..300)
        .map(|seed| {
            let seen = run(&retry(6, 100, 500).seed(seed), 600_000, Idempotency::Idempotent, |_| {
                Err(Refusal::Reset)
            });
            seen.began.windows(2).map(|pair| pair[1] - pair[0] - 10).collect()
        })
        .collect();
    for (n, ceiling) in [100, 200, 400, 500, 500].into_iter().enumerate() {
        let drawn = || pauses.iter().map(|pauses| pauses[n]);
        assert!(drawn().all(|pause| pause <= ceiling), "pause {n}");
        assert!(drawn().any(|pause| pause < ceiling / 20), "pause {n} can be short");
        assert!(drawn().any(|pause| pause > ceiling - ceiling / 20), "pause {n} can be long");
        let mean = drawn().sum::<u64>() / 300;
        assert!((ceiling * 45 / 100..=ceiling * 55 / 100).contains(&mean), "pause {n}: {mean} in the mean");
    }
    let again = run(&retry(6, 100, 500).seed(7), 600_000, Idempotency::Idempotent, |_| Err(Refusal::Reset));
    let again: Vec<u64> = again.began.windows(2).map(|pair| pair[1] - pair[0] - 10).collect();
    assert_eq!(again, pauses[7], "the same seed draws the same pauses");
}

#[test]
fn without_a_seed_callers_do_not_come_back_together() {
    let first = |_: usize| {
        let seen = run(&retry(2, 10_000, 10_000), 600_000, Idempotency::Idempotent, |_| Err(Refusal::Reset));
        seen.began[1]
    };
    let mut moments: Vec<u64> = (0..20).map(first).collect();
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() > 10, "{moments:?}");
}

#[test]
fn ceilings_do_not_overflow() {
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!(backoff.ceiling(0), Duration::from_secs(1));
    assert_eq!(backoff.ceiling(usize::MAX), Duration::from_secs(60));
    assert_eq!(backoff.ceiling(33), Duration::from_secs(60));
    assert_eq!(Backoff::new(Duration::MAX, Duration::MAX).ceiling(40), Duration::MAX);
    assert_eq!(Backoff::new(ms(500), ms(100)).ceiling(1), ms(100), "none is longer than the longest");
}

#[test]
fn an_error_that_will_not_pass_is_given_at_once() {
    let seen = run(&retry(5, 100, 1000), 9000, Idempotency::Idempotent, |_| Err(Refusal::Unknown));
    assert_eq!((why(&seen), seen.took), ((GaveUp::Permanent, 1), 10));
    let seen = run(&retry(5, 0, 0), 9000, Idempotency::Idempotent, |number| {
        Err(if number == 1 { Refusal::Reset } else { Refusal::Unknown })
    });
    assert_eq!(why(&seen), (GaveUp::Permanent, 2));
}

#[test]
fn what_may_not_be_repeated_is_repeated_only_when_nothing_was_done() {
    let seen = run(&retry(5, 0, 0), 9000, Idempotency::NotIdempotent, |number| {
        Err(if number < 3 { Refusal::Busy(None) } else { Refusal::Reset })
    });
    assert_eq!(why(&seen), (GaveUp::NotIdempotent, 3));
    // Also if it was the last attempt anyway: the caller has to know that it must not simply ask again.
    let seen = run(&retry(1, 0, 0), 9000, Idempotency::NotIdempotent, |_| Err(Refusal::Reset));
    assert_eq!(why(&seen), (GaveUp::NotIdempotent, 1));
    let hangs = simulate("", async |_| {
        let deadline = Deadline::after("call", ms(900));
        let retry = retry(5, 0, 0).each(ms(50));
        retry
            .run(&deadline, Idempotency::NotIdempotent, |_| std::future::pending::<Result<(), Refusal>>())
            .await
    });
    let End::Returned(Err(error)) = hangs.end else { panic!("{:?}", hangs.end) };
    assert_eq!((error.why, error.attempts.len()), (GaveUp::NotIdempotent, 1), "a timeout tells nothing");
}

#[test]
fn the_key_is_the_same_in_every_attempt() {
    let key = || Idempotency::Keyed(Arc::from("order 7"));
    let seen = run(&retry(4, 10, 10), 9000, key(), |_| Err(Refusal::Reset));
    assert_eq!(why(&seen), (GaveUp::Attempts, 4), "with a key, what may have been done is asked for again");
    assert_eq!(seen.keys, vec![Some(String::from("order 7")); 4]);
    for idempotency in [Idempotency::Idempotent, Idempotency::NotIdempotent] {
        assert_eq!(run(&retry(1, 0, 0), 900, idempotency, |_| Ok(1)).keys, [None]);
    }
}

#[test]
fn an_attempt_that_hangs_is_dropped_at_its_limit_and_the_last_gets_what_remains() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(1), Outcome::Hang);
        let deadline = Deadline::after("page", ms(100));
        let left = Mutex::new(Vec::new());
        let result = retry(9, 0, 0)
            .each(ms(40))
            .run(&deadline, Idempotency::Idempotent, |attempt| {
                left.lock().unwrap().push((attempt.number, attempt.deadline.remaining()));
                let call = backend.fetch(1);
                async { call.await.map_err(|_| Refusal::Reset) }
            })
            .await;
        let ends: Vec<_> = backend.calls().iter().map(|call| (call.started, call.ended)).collect();
        (result.map(|reply| reply.id), left.into_inner().unwrap(), ends)
    });
    let End::Returned((result, left, ends)) = run.end else { panic!("{:?}", run.end) };
    assert_eq!(left, [(1, ms(40)), (2, ms(40)), (3, ms(20))]);
    let dropped = |from, to| (ms(from), Some((ms(to), CallEnd::Dropped)));
    assert_eq!(ends, [dropped(0, 40), dropped(40, 80), dropped(80, 100)]);
    let error = result.unwrap_err();
    assert_eq!(error.why, GaveUp::Deadline);
    let whose = |error: &AttemptError<Refusal>| match error {
        AttemptError::TimedOut(TimedOut { limit, .. }) => *limit,
        other => panic!("{other}"),
    };
    let whose: Vec<_> = error.attempts.iter().map(|attempt| whose(&attempt.error)).collect();
    assert_eq!(whose, ["the attempt", "the attempt", "page"]);
    assert_eq!(run.elapsed, ms(100));
}

#[test]
fn no_pause_leads_past_the_deadline_and_none_to_an_attempt_without_time() {
    let mut cut_short = 0;
    for seed in 0..200 {
        let policy = retry(99, 20, 200).seed(seed).shortest(ms(30));
        let seen = run(&policy, 300, Idempotency::Idempotent, |_| Err(Refusal::Reset));
        assert_eq!(why(&seen).0, GaveUp::Deadline);
        assert!(
            seen.began.iter().all(|began| *began <= 270),
            "no attempt is begun with less than 30 ms left"
        );
        assert_eq!(seen.took, seen.began.last().unwrap() + 10, "it gives up at once, and not after a pause");
        cut_short += u32::from(seen.took < 270);
    }
    assert!(cut_short > 0);
    // The very last moment is none too late.
    let policy = retry(2, 0, 0).shortest(ms(90));
    let seen =
        run(
            &policy,
            100,
            Idempotency::Idempotent,
            |number| {
                if number == 2 { Ok(1) } else { Err(Refusal::Reset) }
            },
        );
    assert_eq!(seen.result.unwrap(), 1);
    let policy = retry(2, 0, 0).shortest(ms(91));
    let seen = run(&policy, 100, Idempotency::Idempotent, |_| Err(Refusal::Reset));
    assert_eq!((why(&seen), seen.took), ((GaveUp::Deadline, 1), 10));
    let seen = run(&retry(9, 0, 0), 10, Idempotency::Idempotent, |_| Err(Refusal::Reset));
    assert_eq!((why(&seen), seen.took), ((GaveUp::Deadline, 1), 10), "nothing is left");
}

#[test]
fn without_time_there_is_no_attempt_at_all() {
    for (total, shortest) in [(0, 0), (20, 30)] {
        let policy = retry(3, 0, 0).shortest(ms(shortest));
        let seen = run(&policy, total, Idempotency::Idempotent, |_| Ok(1));
        assert_eq!((why(&seen), seen.began.len(), seen.took), ((GaveUp::Deadline, 0), 0, 0));
    }
}

#[test]
fn what_the_other_side_asks_for_is_waited_for_and_the_jitter_comes_on_top() {
    let mut moments = Vec::new();
    for seed in 0..100 {
        let seen = run(&retry(2, 100, 100).seed(seed), 9000, Idempotency::Idempotent, |_| {
            Err(Refusal::Busy(Some(ms(700))))
        });
        assert!((710..=810).contains(&seen.began[1]), "{:?}", seen.began);
        moments.push(seen.began[1]);
    }
    assert!(moments.iter().max().unwrap() - moments.iter().min().unwrap() > 50, "not all in one moment");
    // Longer than there is time: not waited for at all.
    for seed in 0..4 {
        let policy = retry(2, 90, 90).seed(seed);
        let seen = run(&policy, 500, Idempotency::Idempotent, |_| Err(Refusal::Busy(Some(Duration::MAX))));
        assert_eq!(why(&seen), (GaveUp::Deadline, 1));
    }
}

#[test]
fn in_an_outage_all_callers_together_make_no_more_retries_than_the_budget_has() {
    let run = simulate("", async |recorder| {
        let mut backend = Backend::new(&recorder);
        for id in 0..100 {
            backend = backend.on(id, ms(10), Outcome::Fail);
        }
        let budget = RetryBudget::new(n(20), 10);
        let policy = retry(3, 10, 10).budget(&budget);
        let settled = gather(0..100, n(100), |id| {
            let (policy, backend) = (policy.clone(), backend.clone());
            async move {
                let deadline = Deadline::after("call", ms(900));
                let work = |_| {
                    let call = backend.fetch(id);
                    async { call.await.map_err(|_| Refusal::Reset) }
                };
                policy.run(&deadline, Idempotency::Idempotent, work).await
            }
        })
        .await;
        let refused = settled
            .iter()
            .filter(|settled| matches!(settled, concurrency::Settled::Failed(error) if error.why == GaveUp::Budget))
            .count();
        (backend.calls().len(), budget.left(), refused)
    });
    let End::Returned((calls, left, refused)) = run.end else { panic!("{:?}", run.end) };
    assert_eq!((calls, left), (120, 0), "without a budget there would be 300");
    assert!(refused >= 80, "{refused}");
}

#[test]
fn successes_fill_the_budget_again_up_to_what_it_was() {
    let budget = RetryBudget::new(n(2), 10);
    let policy = retry(2, 0, 0).budget(&budget);
    let fails = || run(&policy, 900, Idempotency::Idempotent, |_| Err(Refusal::Reset));
    let succeeds = || run(&policy, 900, Idempotency::Idempotent, |_| Ok(1));
    succeeds();
    assert_eq!(budget.left(), 2, "never more than at first");
    fails();
    assert_eq!(budget.left(), 1);
    fails();
    assert_eq!((why(&fails()), budget.left()), ((GaveUp::Budget, 1), 0));
    for _ in 0..9 {
        succeeds();
    }
    assert_eq!(budget.left(), 0, "nine tenths are no retry");
    succeeds();
    assert_eq!(budget.left(), 1);
    assert_eq!(why(&fails()), (GaveUp::Attempts, 2));
    assert_eq!(why(&fails()), (GaveUp::Budget, 1));
}

#[test]
fn who_makes_no_retry_pays_for_none() {
    let budget = RetryBudget::new(n(5), 0);
    let tries = |attempts: usize, total: u64, idempotency, script: Script| {
        let policy = retry(attempts, 0, 0).budget(&budget).shortest(ms(50));
        why(&run(&policy, total, idempotency, script)).0
    };
    assert_eq!(tries(1, 900, Idempotency::Idempotent, |_| Err(Refusal::Reset)), GaveUp::Attempts);
    assert_eq!(tries(9, 900, Idempotency::Idempotent, |_| Err(Refusal::Unknown)), GaveUp::Permanent);
    assert_eq!(tries(9, 900, Idempotency::NotIdempotent, |_| Err(Refusal::Reset)), GaveUp::NotIdempotent);
    assert_eq!(tries(9, 55, Idempotency::Idempotent, |_| Err(Refusal::Reset)), GaveUp::Deadline);
    assert_eq!(budget.left(), 5);
}

#[test]
fn dropped_in_a_pause_it_makes_no_further_attempt_and_pays_the_retry_back() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(10), Outcome::Fail);
        let budget = RetryBudget::new(n(3), 10);
        let policy = retry(3, 0, 0).budget(&budget);
        let deadline = Deadline::after("call", ms(9000));
        let work = |_| {
            let call = backend.fetch(1);
            async { call.await.map_err(|_| Refusal::Busy(Some(ms(500)))) }
        };
        assert!(timeout(ms(100), policy.run(&deadline, Idempotency::Idempotent, work)).await.is_err());
        let in_the_pause = budget.left();
        assert!(timeout(ms(515), policy.run(&deadline, Idempotency::Idempotent, work)).await.is_err());
        let in_the_attempt = budget.left();
        sleep(ms(5000)).await;
        (in_the_pause, in_the_attempt, backend.calls().len(), backend.in_flight())
    });
    assert_eq!(run.end, End::Returned((3, 2, 3, 0)));
}

#[test]
fn dropped_at_any_await_it_leaves_no_call_behind() {
    let setup = || {
        let backend = Backend::new(&Recorder::new("")).on(1, ms(10), Outcome::Fail);
        (backend, RetryBudget::new(n(9), 10))
    };
    let awaits = every_await(
        setup,
        |(backend, budget)| {
            let (backend, policy) = (backend.clone(), retry(4, 20, 40).seed(3).each(ms(50)).budget(budget));
            async move {
                let deadline = Deadline::after("call", ms(900));
                let work = |_| {
                    let call = backend.fetch(1);
                    async { call.await.map_err(|_| Refusal::Reset) }
                };
                drop(policy.run(&deadline, Idempotency::Idempotent, work).await);
            }
        },
        async |(backend, budget)| {
            let calls = backend.calls();
            let retries = calls.len().saturating_sub(1);
            match (backend.in_flight(), budget.left() + retries) {
                (0, 9) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
                (running, _) => {
                    Err(format!("{running} in flight, {retries} retries, {} left", budget.left()))
                }
            }
        },
    );
    assert!(awaits.unwrap() >= 7, "four attempts and three pauses");
}

#[test]
fn a_panic_is_a_bug_and_is_not_tried_again() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(10), Outcome::Panic);
        let deadline = Deadline::after("call", ms(900));
        let work = |_| {
            let call = backend.fetch(1);
            async { call.await.map_err(|_| Refusal::Reset) }
        };
        drop(retry(5, 0, 0).run(&deadline, Idempotency::Idempotent, work).await);
    });
    assert_eq!(run.end, End::Panicked(String::from("item 1 is cursed")));
    assert_eq!(run.trace.lanes.len(), 1);
}

#[test]
fn the_error_tells_every_attempt_when_it_began_and_how_long_it_took() {
    let seen = run(&retry(3, 0, 0), 900, Idempotency::Idempotent, |number| {
        Err(if number == 2 { Refusal::Reset } else { Refusal::Busy(Some(ms(25))) })
    });
    let error = seen.result.unwrap_err();
    let told: Vec<_> = error.attempts.iter().map(|attempt| (attempt.at, attempt.took)).collect();
    assert_eq!(told, [(ms(0), ms(10)), (ms(35), ms(10)), (ms(45), ms(10))]);
    assert_eq!(
        error.to_string(),
        "gave up, no attempts are left; attempts: 3; at 0ns: busy; at 35ms: reset; at 45ms: busy"
    );
    assert!(error.is_retryable() && !error.had_no_effect());
    assert_eq!(error.retry_after(), Some(ms(25)));
}

#[test]
fn the_error_itself_says_whether_the_whole_is_worth_another_try() {
    let error = |why| RetryError::<Refusal> { why, attempts: Vec::new() };
    let again: Vec<bool> =
        [GaveUp::Permanent, GaveUp::NotIdempotent, GaveUp::Attempts, GaveUp::Deadline, GaveUp::Budget]
            .map(|why| error(why).is_retryable())
            .into();
    assert_eq!(again, [false, false, true, true, true]);
    assert!(error(GaveUp::Deadline).had_no_effect(), "it was not even asked");
}

#[test]
fn it_can_be_spawned_and_shares_its_budget_between_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let budget = RetryBudget::new(n(100), 0);
        let policy = retry(4, 0, 0).budget(&budget);
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let policy = policy.clone();
            tasks.spawn(async move {
                let deadline = Deadline::after("call", Duration::from_secs(600));
                let work = |_| async {
                    yield_now().await;
                    Err::<(), _>(FetchErrorLike(FetchError::Unavailable { id: 1 }))
                };
                policy.run(&deadline, Idempotency::Idempotent, work).await.unwrap_err().attempts.len()
            });
        }
        let attempts: usize = tasks.join_all().await.into_iter().sum();
        assert_eq!((attempts, budget.left()), (300, 0));
    });
}

#[derive(Debug)]
struct FetchErrorLike(FetchError);

impl Retryable for FetchErrorLike {
    fn is_retryable(&self) -> bool {
        matches!(self.0, FetchError::Unavailable { .. })
    }
}

#[test]
fn the_work_may_borrow_from_its_caller() {
    paused(async {
        let mut asked = Vec::new();
        let deadline = Deadline::after("call", ms(900));
        let result = retry(3, 0, 0)
            .run(&deadline, Idempotency::Idempotent, |attempt| {
                asked.push(attempt.number);
                async move { if attempt.number == 2 { Ok(()) } else { Err(Refusal::Reset) } }
            })
            .await;
        assert!(result.is_ok());
        assert_eq!(asked, [1, 2]);
    });
}

#[test]
fn a_retry_that_the_deadline_overtakes_in_its_pause_is_paid_back() {
    #[derive(Debug)]
    struct Busy;
    impl Retryable for Busy {
        fn is_retryable(&self) -> bool {
            true
        }
        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_millis(1))
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("timers are all that it needs").block_on(async {
        let three = NonZeroUsize::new(3).expect("three is not zero");
        let budget = RetryBudget::new(three, 10);
        let retry = Retry::new(three, Backoff::new(Duration::ZERO, Duration::ZERO)).budget(&budget);
        // Timers tick in milliseconds: the pause of one ends later than it said.
        tokio::time::advance(Duration::from_micros(300)).await;
        let deadline = Deadline::after("the call", Duration::from_micros(1500));
        let error = retry.run(&deadline, Idempotency::Idempotent, async |_| Err::<(), _>(Busy)).await;
        let error = error.expect_err("it is always busy");
        assert_eq!((error.why, error.attempts.len(), budget.left()), (GaveUp::Deadline, 1, 3));
    });
}
