//! What a `Bulkhead` promises. Its jobs wait at gates: no test sleeps, and none depends on how fast a thread is.

use concurrency::{BlockingError, Bulkhead, Load, Panic, Retryable as _, Settled, StillRunning};
use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, ThreadId},
    time::Duration,
};
use testing::{Jobs, every_await, sim};
use tokio::{
    task::{JoinHandle, JoinSet, yield_now},
    time::{Instant, advance},
};
use tokio_util::sync::CancellationToken;

fn bulkhead(limit: usize, may_wait: usize) -> Bulkhead {
    Bulkhead::new(NonZeroUsize::new(limit).expect("limits are not zero"), may_wait)
}

/// Calls in tasks of their own, so that a test can drop one and go on.
struct Calls<T>(Vec<JoinHandle<Result<T, BlockingError>>>);

impl<T: Send + 'static> Calls<T> {
    /// Makes a call; on return it has been polled once.
    async fn call(&mut self, call: impl Future<Output = Result<T, BlockingError>> + Send + 'static) -> usize {
        #[expect(clippy::disallowed_methods, reason = "the handle is kept, and awaited or aborted")]
        self.0.push(tokio::spawn(call));
        yield_now().await;
        self.0.len() - 1
    }

    /// Drops it; on return its destructors have run.
    async fn leave(&mut self, call: usize) {
        self.0[call].abort();
        assert!((&mut self.0[call]).await.is_err_and(|error| error.is_cancelled()), "it was still awaited");
    }

    async fn outcome(&mut self, call: usize) -> Result<T, BlockingError> {
        (&mut self.0[call]).await.expect("nobody aborted it")
    }
}

/// Notes the thread on which it is dropped, and what was so at that moment.
struct Dropped {
    bulkhead: Bulkhead,
    seen: Arc<Mutex<Option<(ThreadId, Load)>>>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        *self.seen.lock().expect("not poisoned") = Some((thread::current().id(), self.bulkhead.load()));
    }
}

#[test]
fn as_many_run_as_the_limit_says_and_the_others_follow_in_order() {
    for limit in 1..=4 {
        sim(async move |_| {
            let (jobs, bulkhead) = (Jobs::new(), bulkhead(limit, 20));
            let mut calls = Calls(Vec::new());
            for id in 0..10 {
                let (bulkhead, job) = (bulkhead.clone(), jobs.job(id));
                calls.call(async move { bulkhead.run(|_| job()).await }).await;
            }
            for ended in 0..10 {
                // One at a time is let go, the first of those that run.
                let due = (ended + limit).min(10);
                assert!(jobs.until(move |ledger| ledger.started.len() == due).await, "{:?}", jobs.ledger());
                jobs.rest().await;
                let ledger = jobs.ledger();
                assert_eq!((ledger.started.len(), ledger.running()), (due, due - ended), "{ledger:?}");
                assert_eq!(bulkhead.load(), Load { running: due - ended, waiting: 10 - due });
                jobs.open(ended as u32);
                assert_eq!(calls.outcome(ended).await.unwrap(), ended as u32);
            }
            let ledger = jobs.ledger();
            assert_eq!(ledger.peak, limit);
            // Those of the first group start together; from there on, each in its turn.
            assert_eq!(ledger.started[limit..], (limit as u32..10).collect::<Vec<_>>());
            assert!(ledger.on_the_runtime.is_empty());
        });
    }
}

#[test]
fn what_is_on_top_of_those_that_run_and_wait_is_refused_at_once_with_their_numbers() {
    for (limit, may_wait) in [(1, 0), (1, 2), (2, 1), (3, 3)] {
        sim(async move |_| {
            let (jobs, bulkhead) = (Jobs::new(), bulkhead(limit, may_wait));
            let mut calls = Calls(Vec::new());
            for id in 0..limit + may_wait {
                let (bulkhead, job) = (bulkhead.clone(), jobs.job(id as u32));
                calls.call(async move { bulkhead.run(|_| job()).await }).await;
            }
            assert!(jobs.until(move |ledger| ledger.running() == limit).await);
            for _ in 0..2 {
                // In its first poll: nothing has run in between.
                let mut refused = poll_once(bulkhead.run(|_| panic!("it must not start")));
                match refused.take() {
                    Some(Err(BlockingError::Busy { running, waiting })) => {
                        assert_eq!((running, waiting), (limit, may_wait));
                    }
                    other => panic!("{other:?}"),
                }
            }
            // With one gone there is room for one, and for one only.
            jobs.open(0);
            assert_eq!(calls.outcome(0).await.unwrap(), 0);
            yield_now().await;
            let (next, job) = (bulkhead.clone(), jobs.job(90));
            calls.call(async move { next.run(|_| job()).await }).await;
            assert!(matches!(bulkhead.run(|_| ()).await, Err(BlockingError::Busy { .. })));
            jobs.open_all();
            for call in 1..=limit + may_wait {
                calls.outcome(call).await.unwrap();
            }
            assert_eq!(bulkhead.load(), Load { running: 0, waiting: 0 });
            assert_eq!(jobs.ledger().peak, limit);
        });
    }
}

/// Polls once.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    futures_util::FutureExt::now_or_never(future)
}

#[test]
fn work_whose_caller_has_gone_while_it_waited_never_starts_and_its_room_is_free_at_once() {
    sim(async |_| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(1, 2));
        let mut calls = Calls(Vec::new());
        for id in 0..3 {
            let (bulkhead, job) = (bulkhead.clone(), jobs.job(id));
            calls.call(async move { bulkhead.run(|_| job()).await }).await;
        }
        calls.leave(1).await;
        assert_eq!(bulkhead.load(), Load { running: 1, waiting: 1 });
        let (next, job) = (bulkhead.clone(), jobs.job(3));
        calls.call(async move { next.run(|_| job()).await }).await;
        jobs.open_all();
        assert_eq!(calls.outcome(2).await.unwrap(), 2);
        assert_eq!(calls.outcome(3).await.unwrap(), 3);
        jobs.rest().await;
        assert_eq!(jobs.ledger().started, [0, 2, 3]);
    });
}

#[test]
fn work_whose_caller_has_gone_while_it_waited_for_a_thread_of_the_runtime_never_starts() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (open, gate) = mpsc::channel::<()>();
        // Somebody else's call has the only thread that there is.
        let others = tokio::task::spawn_blocking(move || gate.recv());
        let bulkhead = bulkhead(1, 0);
        let started = Arc::new(AtomicUsize::new(0));
        let mut calls = Calls(Vec::new());
        let (mine, count) = (bulkhead.clone(), started.clone());
        let call = calls.call(async move { mine.run(move |_| count.fetch_add(1, SeqCst)).await }).await;
        assert_eq!(bulkhead.load(), Load { running: 1, waiting: 0 });
        calls.leave(call).await;
        drop(open);
        assert!(others.await.unwrap().is_err());
        // Behind it in the runtime's queue: when this has run, that one was looked at.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(started.load(SeqCst), 0);
        assert_eq!(bulkhead.load(), Load { running: 0, waiting: 0 }, "its place is free again");
    });
}

#[test]
fn a_caller_that_goes_sets_the_flag_of_its_work_and_of_no_other() {
    sim(async |_| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(2, 0));
        let (told, hears) = mpsc::channel();
        let mut calls = Calls(Vec::new());
        for id in 0..2 {
            let (bulkhead, jobs, told) = (bulkhead.clone(), job_with_a_flag(&jobs, id), told.clone());
            calls
                .call(async move {
                    bulkhead
                        .run(move |cancelled| {
                            let was_cancelled = jobs(cancelled.clone());
                            told.send((id, was_cancelled)).unwrap();
                        })
                        .await
                })
                .await;
        }
        assert!(jobs.until(|ledger| ledger.running() == 2).await);
        calls.leave(0).await;
        // Its gate is shut: it ends because it has seen the flag.
        assert!(jobs.until(|ledger| ledger.ended == [0]).await, "{:?}", jobs.ledger());
        jobs.open(1);
        calls.outcome(1).await.unwrap();
        drop(told);
        let mut heard: Vec<(u32, bool)> = hears.iter().collect();
        heard.sort_unstable();
        assert_eq!(heard, [(0, true), (1, false)]);
    });
}

/// Gives whether its flag had it end.
fn job_with_a_flag(jobs: &Jobs, id: u32) -> impl FnOnce(CancellationToken) -> bool + Send + use<> {
    let flag = Arc::new(Mutex::new(None::<CancellationToken>));
    let seen = flag.clone();
    let job = jobs.checking(id, move || {
        seen.lock().expect("not poisoned").as_ref().is_some_and(CancellationToken::is_cancelled)
    });
    move |cancelled| {
        *flag.lock().expect("not poisoned") = Some(cancelled);
        job()
    }
}

#[test]
fn a_flag_that_outlives_its_call_is_not_set_when_the_call_has_ended() {
    sim(async |_| {
        let flag = bulkhead(1, 0).run(Clone::clone).await.unwrap();
        assert!(!flag.is_cancelled());
    });
}

#[test]
fn the_place_of_a_caller_that_has_gone_is_taken_until_its_thread_ends() {
    sim(async |_| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(2, 1));
        let mut calls = Calls(Vec::new());
        for id in 0..3 {
            let (bulkhead, job) = (bulkhead.clone(), jobs.job(id));
            calls.call(async move { bulkhead.run(|_| job()).await }).await;
        }
        assert!(jobs.until(|ledger| ledger.running() == 2).await);
        calls.leave(0).await;
        jobs.rest().await;
        assert_eq!(bulkhead.load(), Load { running: 2, waiting: 1 });
        assert!(matches!(bulkhead.run(|_| ()).await, Err(BlockingError::Busy { running: 2, waiting: 1 })));
        assert_eq!(jobs.ledger().started.len(), 2, "{:?}", jobs.ledger());
        jobs.open(0);
        assert!(jobs.until(|ledger| ledger.started.contains(&2)).await, "its end lets the next one in");
        assert_eq!(jobs.ledger().peak, 2);
        jobs.open_all();
        for call in 1..3 {
            assert_eq!(calls.outcome(call).await.unwrap(), call as u32);
        }
    });
}

#[test]
fn the_result_of_a_caller_that_has_gone_is_dropped_on_its_thread_before_the_place_is_free() {
    sim(async |_| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(1, 0));
        let (seen, worker) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let mut calls = Calls(Vec::new());
        let (here, there) = (bulkhead.clone(), bulkhead.clone());
        let (job, note, ran_on) = (jobs.job(0), seen.clone(), worker.clone());
        let work = move || {
            job();
            *ran_on.lock().unwrap() = Some(thread::current().id());
            Dropped { bulkhead: there, seen: note }
        };
        calls.call(async move { here.run(|_| work()).await }).await;
        assert!(jobs.until(|ledger| ledger.running() == 1).await);
        calls.leave(0).await;
        jobs.open(0);
        assert_eq!(bulkhead.shutdown(Duration::from_secs(1)).await, Ok(()));
        let (thread, load) =
            seen.lock().unwrap().expect("the result was dropped before the shutdown had ended");
        assert_eq!(Some(thread), *worker.lock().unwrap());
        assert_eq!(load, Load { running: 1, waiting: 0 });
    });
}

#[test]
fn whoever_is_given_the_result_finds_the_place_free() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bulkhead = bulkhead(1, 0);
        for turn in 0..3000 {
            // The one before may not be at its end yet, but it is not counted any more.
            assert_eq!(bulkhead.run(move |_| turn).await.unwrap(), turn);
        }
        for _ in 0..200 {
            let panicked = bulkhead.run(|_| resume_unwind(Box::new("cursed"))).await;
            assert!(matches!(panicked, Err::<(), _>(BlockingError::Panicked(_))));
        }
    });
}

#[test]
fn a_panic_is_a_typed_error_and_gives_its_place_back() {
    sim(async |_| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(2, 0));
        jobs.open_all();
        for id in 0..7 {
            let job = jobs.panicking(id);
            match bulkhead.run(|_| job()).await {
                Err(BlockingError::Panicked(panic)) => {
                    assert_eq!(panic.message(), format!("job {id} is cursed"));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bulkhead.load(), Load { running: 0, waiting: 0 });
        // One that nobody awaits any more gives it back, too.
        let (left, mut calls) = (Jobs::new(), Calls(Vec::new()));
        for id in 0..2 {
            let (bulkhead, job) = (bulkhead.clone(), left.panicking(id));
            calls.call(async move { bulkhead.run(|_| job()).await }).await;
            calls.leave(id as usize).await;
        }
        left.open_all();
        assert_eq!(bulkhead.shutdown(Duration::from_secs(1)).await, Ok(()));
    });
}

#[test]
fn a_shutdown_refuses_who_comes_and_who_waits_and_waits_for_who_runs() {
    sim(async |sim| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(2, 2));
        let mut calls = Calls(Vec::new());
        for id in 0..4 {
            let (bulkhead, job) = (bulkhead.clone(), jobs.job(id));
            calls.call(async move { bulkhead.run(|_| job()).await }).await;
        }
        assert!(jobs.until(|ledger| ledger.running() == 2).await);
        let (closing, start) = (bulkhead.clone(), Instant::now());
        let mut shutdown = Box::pin(async move { closing.shutdown(Duration::from_secs(60)).await });
        assert!(poll_once(&mut shutdown).is_none());
        // Also while it is full, for those that wait have not been polled yet: to try again would be in vain.
        assert!(matches!(bulkhead.run(|_| ()).await, Err(BlockingError::Closed)));
        let closed = sim.spawn("shutdown", shutdown);
        yield_now().await;
        assert!(matches!(bulkhead.run(|_| ()).await, Err(BlockingError::Closed)));
        for waiting in 2..4 {
            assert!(matches!(calls.outcome(waiting).await, Err(BlockingError::Closed)));
        }
        jobs.open(0);
        assert_eq!(calls.outcome(0).await.unwrap(), 0);
        jobs.rest().await;
        assert!(!closed.is_finished(), "one still runs");
        jobs.open(1);
        assert_eq!(calls.outcome(1).await.unwrap(), 1);
        assert_eq!(closed.await.unwrap(), Ok(()));
        assert_eq!(start.elapsed(), Duration::ZERO, "it ends with the last thread, not with its time");
        assert_eq!(bulkhead.shutdown(Duration::ZERO).await, Ok(()), "a second one has nothing to wait for");
        let mut started = jobs.ledger().started;
        started.sort_unstable();
        assert_eq!(started, [0, 1]);
    });
}

#[test]
fn a_shutdown_whose_time_is_over_sets_the_flags_and_says_how_many_still_run() {
    sim(async |sim| {
        let (jobs, bulkhead) = (Jobs::new(), bulkhead(3, 0));
        let mut calls = Calls(Vec::new());
        let mut flags = Vec::new();
        for id in 0..3 {
            let (mine, job) = (bulkhead.clone(), jobs.job(id));
            let (tell, told) = mpsc::channel();
            let work = move |flag: &CancellationToken| {
                tell.send(flag.clone()).unwrap();
                job()
            };
            calls.call(async move { mine.run(work).await }).await;
            flags.push(told);
        }
        assert!(jobs.until(|ledger| ledger.running() == 3).await);
        let flags: Vec<_> = flags.iter().map(|told| told.recv().unwrap()).collect();
        jobs.open(1);
        assert_eq!(calls.outcome(1).await.unwrap(), 1);
        let closing = bulkhead.clone();
        let closed = sim.spawn("shutdown", async move { closing.shutdown(Duration::from_secs(30)).await });
        yield_now().await;
        // The clock stands while threads run; this is what moves it.
        advance(Duration::from_millis(29_999)).await;
        jobs.rest().await;
        assert!(
            !closed.is_finished() && flags.iter().all(|flag| !flag.is_cancelled()),
            "not before its time"
        );
        advance(Duration::from_millis(1)).await;
        assert_eq!(closed.await.unwrap(), Err(StillRunning { running: 2 }));
        assert!(flags[0].is_cancelled() && flags[2].is_cancelled());
        // Their callers are still there, and get what they asked for; and it can be asked again.
        jobs.open_all();
        assert_eq!(calls.outcome(0).await.unwrap(), 0);
        assert_eq!(calls.outcome(2).await.unwrap(), 2);
        assert_eq!(bulkhead.shutdown(Duration::ZERO).await, Ok(()));
    });
}

#[test]
fn many_small_jobs_take_one_hop_and_each_has_its_outcome() {
    sim(async |_| {
        let bulkhead = bulkhead(1, 0);
        let threads = Arc::new(Mutex::new(Vec::new()));
        let seen = threads.clone();
        let outcomes = bulkhead
            .run_each(0..100_u32, move |n| {
                seen.lock().unwrap().push(thread::current().id());
                match n {
                    40 => Err("forty"),
                    50 => resume_unwind(Box::new("fifty")),
                    n => Ok(n),
                }
            })
            .await
            .unwrap();
        assert_eq!(outcomes.len(), 100);
        for (n, outcome) in (0..).zip(outcomes) {
            match outcome {
                Settled::Ok(m) => assert_eq!(m, n),
                Settled::Failed(error) => assert_eq!((n, error), (40, "forty")),
                Settled::Panicked(panic) => assert_eq!((n, panic.message()), (50, "fifty")),
                Settled::Cancelled => panic!("{n} was cancelled"),
            }
        }
        let threads = threads.lock().unwrap();
        assert!(threads.iter().all(|thread| *thread == threads[0] && *thread != thread::current().id()));
    });
}

#[test]
fn many_small_jobs_stop_between_two_when_the_caller_has_gone_or_the_time_of_a_shutdown_is_over() {
    for by_shutdown in [false, true] {
        sim(async move |_| {
            let (jobs, bulkhead) = (Jobs::new(), bulkhead(1, 0));
            let begun = Arc::new(AtomicUsize::new(0));
            let mut calls = Calls(Vec::new());
            let (mine, count) = (bulkhead.clone(), begun.clone());
            let mut gates: Vec<_> = (0..2).rev().map(|id| jobs.job(id)).collect();
            let work = move |n: u32| {
                count.fetch_add(1, SeqCst);
                if let Some(gate) = gates.pop() {
                    gate();
                }
                Ok::<_, ()>(n)
            };
            calls.call(async move { mine.run_each(0..9, work).await }).await;
            jobs.open(0);
            assert!(jobs.until(|ledger| ledger.started.len() == 2).await, "the second is in work");
            if by_shutdown {
                assert_eq!(bulkhead.shutdown(Duration::ZERO).await, Err(StillRunning { running: 1 }));
            } else {
                calls.leave(0).await;
            }
            jobs.open_all();
            assert!(jobs.until(|ledger| ledger.ended.len() == 2).await);
            if by_shutdown {
                let outcomes = calls.outcome(0).await.unwrap();
                let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                assert_eq!((done, outcomes.len()), (2, 9), "what was done is not lost");
                assert!(outcomes[2..].iter().all(|outcome| matches!(outcome, Settled::Cancelled)));
            }
            assert_eq!(bulkhead.shutdown(Duration::from_secs(1)).await, Ok(()));
            assert_eq!(begun.load(SeqCst), 2);
        });
    }
}

/// A bulkhead for one, and a call in it that somebody else has made.
struct Taken {
    bulkhead: Bulkhead,
    jobs: Arc<Jobs>,
    _others: JoinSet<()>,
}

impl Taken {
    /// The gate of the first opens by itself, some turns of the runtime later.
    fn new() -> Self {
        let (bulkhead, jobs) = (bulkhead(1, 1), Arc::new(Jobs::new()));
        let (theirs, job) = (bulkhead.clone(), jobs.job(0));
        let mut first = Box::pin(async move { theirs.run(|_| job()).await });
        assert!(poll_once(&mut first).is_none());
        jobs.open(1);
        let mut others = JoinSet::new();
        others.spawn(async move { drop(first.await) });
        let opening = jobs.clone();
        others.spawn(async move {
            // Until the one under test waits, or was dropped before it could.
            for _ in 0..4 {
                yield_now().await;
            }
            opening.until(|ledger| ledger.started.contains(&0)).await;
            opening.open(0);
        });
        Self { bulkhead, jobs, _others: others }
    }
}

#[test]
fn dropped_at_any_await_a_call_leaves_no_place_taken_and_no_waiting_work() {
    let awaits = every_await(
        || Arc::new(Taken::new()),
        |taken| {
            let (taken, job) = (taken.clone(), taken.jobs.job(1));
            async move { drop(taken.bulkhead.run(|_| job()).await) }
        },
        async |taken| {
            taken.jobs.open_all();
            let ended = taken.bulkhead.shutdown(Duration::from_secs(1)).await;
            let ledger = taken.jobs.ledger();
            match (ended, taken.bulkhead.load(), ledger.peak) {
                (Ok(()), Load { running: 0, waiting: 0 }, 1) => Ok(()),
                other => Err(format!("{other:?}, {ledger:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 2, "one for the place and one for the result");
}

#[test]
fn dropped_at_any_await_many_small_jobs_leave_no_place_taken() {
    let awaits = every_await(
        || Arc::new(Taken::new()),
        |taken| {
            let (taken, job) = (taken.clone(), taken.jobs.job(1));
            let mut job = Some(job);
            let work = move |n: u32| {
                if let Some(job) = job.take() {
                    job();
                }
                Ok::<_, ()>(n)
            };
            async move { drop(taken.bulkhead.run_each(0..3, work).await) }
        },
        async |taken| {
            taken.jobs.open_all();
            match taken.bulkhead.shutdown(Duration::from_secs(1)).await {
                Ok(()) if taken.bulkhead.load() == (Load { running: 0, waiting: 0 }) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn dropped_at_any_await_a_shutdown_leaves_it_closed_and_can_be_repeated() {
    let awaits = every_await(
        || Arc::new(Taken::new()),
        |taken| {
            let taken = taken.clone();
            async move { taken.bulkhead.shutdown(Duration::from_secs(1)).await.unwrap() }
        },
        async |taken| {
            taken.jobs.open_all();
            let refused = matches!(taken.bulkhead.run(|_| ()).await, Err(BlockingError::Closed));
            match (refused, taken.bulkhead.shutdown(Duration::from_secs(1)).await) {
                (true, Ok(())) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 1);
}

#[test]
fn a_runtime_that_is_gone_does_not_take_the_places_of_the_next() {
    let bulkhead = bulkhead(1, 0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (open, gate) = mpsc::channel::<()>();
    runtime.block_on(async {
        drop(tokio::task::spawn_blocking(move || gate.recv()));
        // Queued behind it, for ever: this runtime goes first.
        let mut calls = Calls(Vec::new());
        let mine = bulkhead.clone();
        calls.call(async move { mine.run(|_| ()).await }).await;
        assert_eq!(bulkhead.load(), Load { running: 1, waiting: 0 });
    });
    runtime.shutdown_background();
    drop(open);
    sim(async move |_| {
        // The first runtime's thread throws its queue away when it ends, whenever that is.
        while bulkhead.load().running > 0 {
            tokio::task::spawn_blocking(thread::yield_now).await.unwrap();
        }
        assert_eq!(bulkhead.run(|_| 7).await.unwrap(), 7);
    });
}

#[test]
fn it_can_be_spawned_and_keeps_its_limit_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bulkhead = bulkhead(3, 400);
        let (alive, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for n in 0..400_usize {
            let (bulkhead, alive, peak) = (bulkhead.clone(), alive.clone(), peak.clone());
            tasks.spawn(async move {
                let called = bulkhead.run(move |_| {
                    peak.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
                    thread::yield_now();
                    alive.fetch_sub(1, SeqCst);
                    n
                });
                // Every third goes after its first poll.
                if n % 3 == 0 {
                    tokio::select! {
                        biased;
                        value = called => value.map(Some),
                        () = yield_now() => Ok(None),
                    }
                } else {
                    called.await.map(Some)
                }
            });
        }
        let mut done = 0;
        while let Some(called) = tasks.join_next().await {
            done += usize::from(called.unwrap().unwrap().is_some());
        }
        assert!(done >= 266, "all that stayed have their result: {done}");
        assert_eq!(bulkhead.shutdown(Duration::from_secs(30)).await, Ok(()));
        assert_eq!(bulkhead.load(), Load { running: 0, waiting: 0 });
        assert!(peak.load(SeqCst) <= 3);
    });
}

#[test]
fn an_error_says_whether_to_ask_again_and_whether_anything_was_done() {
    fn shared<T: Send + Sync + std::error::Error>(_: &T) {}
    let busy = BlockingError::Busy { running: 4, waiting: 16 };
    shared(&busy);
    assert_eq!(busy.to_string(), "busy: 4 running, 16 waiting");
    assert!(busy.is_retryable() && busy.had_no_effect());
    assert!(!BlockingError::Closed.is_retryable() && BlockingError::Closed.had_no_effect());
    let panicked = BlockingError::Panicked(Panic::new(Box::new("cursed")));
    assert!(!panicked.is_retryable() && !panicked.had_no_effect());
}

#[test]
fn a_limit_that_no_semaphore_can_hold_is_no_limit() {
    sim(async |_| {
        let start = Instant::now();
        let endless = Bulkhead::new(NonZeroUsize::MAX, usize::MAX);
        assert_eq!(endless.run(|_| 1).await.unwrap(), 1);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

#[test]
fn an_iterator_is_not_asked_on_when_its_caller_has_gone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("timers are all that it needs");
    let counted = asked.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async move {
        let mut begun = Some(begun);
        let rows = std::iter::from_fn(move || {
            let n = counted.fetch_add(1, SeqCst);
            begun.take().map(|begun| begun.send(()));
            // Until the gate is open, as a cursor waits for its database.
            gate.recv().ok();
            (n < 200).then_some(())
        });
        let bulkhead = Bulkhead::new(NonZeroUsize::MIN, 0);
        tokio::select! {
            _ = bulkhead.run_each(rows, Ok::<_, ()>) => panic!("the gate is closed"),
            has_begun = has_begun => has_begun.expect("the thread is at work"),
        }
        drop(open);
    });
    // Waits for the thread.
    drop(runtime);
    assert_eq!(asked.load(SeqCst), 1, "of 200");
}
