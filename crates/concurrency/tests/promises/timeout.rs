//! What `Deadline` promises, and what no timeout can.

use common::{
    Backend, Recorder,
    backend::{CallEnd, FetchError, Outcome},
    clock::{paused, spend},
};
use concurrency::{Deadline, TimedOut};
use futures_util::FutureExt as _;
use std::{
    future::{pending, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};
use testing::{every_await, simulate, simulation::End};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{JoinSet, coop::consume_budget},
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn backend() -> Backend {
    Backend::new(&Recorder::new(""))
}

/// Fails the test if it is so much as polled.
fn never_polled() -> impl Future<Output = ()> + Send + 'static {
    poll_fn(|_| panic!("polled although the deadline was over"))
}

#[test]
fn a_deadline_that_is_over_polls_nothing_and_spawns_nothing() {
    paused(async {
        let spent = Deadline::after("request", ms(10));
        sleep(ms(10)).await;
        for deadline in [Deadline::after("request", Duration::ZERO), spent] {
            assert!(deadline.is_over(), "over in the very instant");
            assert_eq!(deadline.run(never_polled()).await.unwrap_err().limit, "request");
            let held = Arc::new(());
            let theirs = held.clone();
            let late = deadline.run_spawned(async move { drop(theirs) }).now_or_never();
            let late = late.expect("there is no task to wait for");
            assert_eq!(late.unwrap_err().limit, "request");
            assert_eq!(Arc::strong_count(&held), 1);
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        }
    });
}

#[test]
fn a_task_that_gets_its_first_turn_only_after_the_deadline_is_not_polled() {
    paused(async {
        let deadline = Deadline::after("request", ms(10));
        let mut work = Box::pin(deadline.run_spawned(never_polled()));
        assert!(futures_util::poll!(&mut work).is_pending(), "spawned, and not yet begun");
        spend(ms(20));
        assert_eq!(work.await.unwrap_err().elapsed, ms(20));
    });
}

#[test]
fn it_fires_at_its_moment_and_says_so_in_numbers() {
    paused(async {
        let deadline = Deadline::after("request", ms(100));
        sleep(ms(30)).await;
        let start = Instant::now();
        let late = deadline.run(pending::<()>()).await.unwrap_err();
        assert_eq!(start.elapsed(), ms(70), "it counts from where it was set");
        assert_eq!((late.limit, late.budget, late.elapsed), ("request", ms(100), ms(100)));
        assert_eq!(late.to_string(), "timed out: the limit of request is 100ms, and 100ms have passed");
        sleep(ms(30)).await;
        let later = deadline.check().unwrap_err();
        assert_eq!(later.to_string(), "timed out: the limit of request is 100ms, and 130ms have passed");
    });
}

#[test]
fn a_value_that_is_there_in_the_instant_of_the_deadline_counts() {
    // More than once, so that luck does not pass.
    for latency in [99].into_iter().chain([100; 16]) {
        paused(async {
            let deadline = Deadline::after("request", ms(100));
            let work = async move {
                sleep(ms(latency)).await;
                latency
            };
            assert_eq!(deadline.run(work).await, Ok(latency));
        });
        paused(async {
            let deadline = Deadline::after("request", ms(100));
            let work = async move {
                sleep(ms(latency)).await;
                latency
            };
            assert_eq!(deadline.run_spawned(work).await, Ok(latency));
        });
    }
    paused(async {
        let deadline = Deadline::after("request", ms(100));
        assert!(deadline.run(sleep(ms(101))).await.is_err());
        let deadline = Deadline::after("request", ms(100));
        assert!(deadline.run_spawned(sleep(ms(101))).await.is_err());
    });
}

#[test]
fn the_tighter_of_two_limits_fires_under_its_own_name() {
    paused(async {
        for (inner, fires, after) in [(60, "call", 60), (100, "request", 100), (140, "request", 100)] {
            let start = Instant::now();
            let request = Deadline::after("request", ms(100));
            let call = request.within("call", ms(inner));
            let late = call.run(pending::<()>()).await.unwrap_err();
            assert_eq!((late.limit, start.elapsed()), (fires, ms(after)), "a call of {inner} ms");
        }
    });
}

#[test]
fn nested_runs_agree_on_the_name() {
    paused(async {
        let request = Deadline::after("request", ms(100));
        // On a tie it is the inner run that notices; the name is the outer one all the same.
        let both = request.run(async { request.within("call", ms(100)).run(pending::<()>()).await }).await;
        assert!(matches!(both, Ok(Err(TimedOut { limit: "request", .. }))), "{both:?}");
        let request = Deadline::after("request", ms(100));
        let page = request.within("page", ms(80));
        let row = page.within("row", ms(90));
        assert_eq!(row.limit(), "page", "the tightest on the way");
        assert_eq!(row.within("cell", ms(5)).limit(), "cell");
    });
}

#[test]
fn what_is_left_shrinks_from_call_to_call_and_nothing_is_called_when_it_is_used_up() {
    paused(async {
        let backend = backend().latency(ms(40));
        let deadline = Deadline::after("request", ms(100));
        let mut left = Vec::new();
        let mut ended = Vec::new();
        for id in 1..=4 {
            left.push(deadline.remaining());
            ended.push(deadline.run(backend.fetch(id)).await.is_ok());
            // At its limit the call is gone at once, and not when somebody yields.
            assert_eq!(backend.in_flight(), 0);
        }
        assert_eq!(left, [ms(100), ms(60), ms(20), ms(0)]);
        assert_eq!(ended, [true, true, false, false]);
        let calls = backend.calls();
        assert_eq!(calls.len(), 3, "the fourth never went out");
        assert_eq!(calls[2].ended, Some((ms(100), CallEnd::Dropped)));
    });
}

#[test]
fn a_timeout_of_the_work_itself_is_the_works_own() {
    paused(async {
        let backend = backend().on(1, ms(20), Outcome::TimeOut);
        let deadline = Deadline::after("request", ms(100));
        assert_eq!(deadline.run(backend.fetch(1)).await, Ok(Err(FetchError::TimedOut { id: 1 })));
        assert_eq!(deadline.run_spawned(backend.fetch(1)).await, Ok(Err(FetchError::TimedOut { id: 1 })));
        // Also one of our own kind, from a limit that does not know of this one.
        let inner = Deadline::after("pool", ms(10));
        let got = deadline.run(inner.run(pending::<()>())).await;
        assert!(matches!(got, Ok(Err(TimedOut { limit: "pool", .. }))), "{got:?}");
    });
}

#[test]
fn a_timer_inside_for_what_remains_fires_first_and_has_no_name() {
    // Why `remaining` warns of it. It is also what reqwest's `.timeout(deadline.remaining())` inside of `run` would do.
    paused(async {
        let deadline = Deadline::after("request", ms(100));
        let got = deadline.run(timeout(deadline.remaining(), pending::<()>())).await;
        assert!(matches!(got, Ok(Err(_))), "tokio's Elapsed, not TimedOut: {got:?}");
    });
}

#[test]
fn work_that_awaits_without_ever_waiting_is_stopped_too() {
    // Always ready: without tokio's budget, which makes it give way now and then, the clock would never be asked.
    let busy = || async {
        for _ in 0..5000 {
            consume_budget().await;
            spend(ms(1));
        }
    };
    paused(async {
        let start = Instant::now();
        let run = Deadline::after("request", ms(500)).run(busy()).await;
        assert!(run.is_err());
        let spawned = Deadline::after("request", ms(500)).run_spawned(busy()).await;
        assert!(spawned.is_err());
        // A budget is 128 awaits, each of which has spent a millisecond here.
        assert!(start.elapsed() < ms(1300), "{:?}", start.elapsed());
    });
}

#[test]
fn at_the_deadline_a_spawned_task_is_gone_before_the_caller_goes_on() {
    paused(async {
        let backend = backend().latency(ms(500));
        let deadline = Deadline::after("request", ms(100));
        let late = deadline.run_spawned(backend.fetch(1)).await.unwrap_err();
        // No yield in between.
        assert_eq!(backend.in_flight(), 0);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        assert_eq!((late.limit, late.elapsed), ("request", ms(100)));
    });
}

#[test]
fn at_the_deadline_a_spawned_task_is_gone_on_several_threads_too() {
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            // A destructor that takes its time: on return it must have ended, not just begun.
            let start = std::time::Instant::now();
            while start.elapsed() < ms(5) {
                std::hint::spin_loop();
            }
            self.0.store(true, Relaxed);
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        // Spawned itself: the future of `run_spawned` is Send.
        tasks.spawn(async {
            for _ in 0..20 {
                let gone = Arc::new(AtomicBool::new(false));
                let guard = Gone(gone.clone());
                let work = async move {
                    let _guard = guard;
                    pending::<()>().await;
                };
                assert!(Deadline::after("request", ms(3)).run_spawned(work).await.is_err());
                assert!(gone.load(Relaxed), "the caller went on before the task was gone");
            }
        });
        tasks.join_next().await.unwrap().unwrap();
    });
}

#[test]
fn a_panic_of_the_work_goes_on_in_the_caller() {
    for spawned in [false, true] {
        let run = simulate("", async |recorder| {
            let backend = Backend::new(&recorder).on(1, ms(10), Outcome::Panic);
            let deadline = Deadline::after("request", ms(100));
            let fetched = if spawned {
                deadline.run_spawned(backend.fetch(1)).await
            } else {
                deadline.run(backend.fetch(1)).await
            };
            drop(fetched);
        });
        assert_eq!(run.end, End::Panicked(String::from("item 1 is cursed")));
        assert_eq!(run.elapsed, ms(10));
    }
    // The payload itself, not a description of it.
    let payload = std::panic::catch_unwind(|| {
        paused(async {
            let work = async {
                sleep(ms(1)).await;
                std::panic::resume_unwind(Box::new(42_u8))
            };
            let result: Result<(), _> = Deadline::after("request", ms(100)).run_spawned(work).await;
            result
        })
    })
    .unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&42));
}

#[test]
fn a_runtime_that_is_shut_down_meanwhile_is_not_taken_for_a_timeout() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (tell, told) = mpsc::channel();
    let caller = std::thread::spawn(move || {
        handle.block_on(async {
            tell.send(()).unwrap();
            Deadline::after("request", ms(60_000)).run_spawned(pending::<()>()).await
        })
    });
    told.recv().unwrap();
    runtime.shutdown_background();
    let payload = caller.join().unwrap_err();
    let message = payload.downcast_ref::<String>().expect("a message");
    assert_eq!(message, "the runtime was shut down while `request` was waited for");
}

#[test]
fn dropped_at_any_await_it_leaves_no_task_and_no_call_behind() {
    for latency in [30, 300] {
        let gone = async |backend: Backend| match (backend.in_flight(), backend.calls()) {
            (0, calls) if calls.iter().all(|call| call.ended.is_some_and(|(at, _)| at <= ms(100))) => Ok(()),
            (n, calls) => Err(format!("{n} calls in flight, {calls:?}")),
        };
        let awaits = every_await(
            || backend().latency(ms(latency)),
            |backend| {
                let call = backend.fetch(1);
                async move { drop(Deadline::after("request", ms(100)).run(call).await) }
            },
            gone,
        );
        assert!(awaits.unwrap() >= 1);
        let awaits = every_await(
            || backend().latency(ms(latency)),
            |backend| {
                let call = backend.fetch(1);
                async move { drop(Deadline::after("request", ms(100)).run_spawned(call).await) }
            },
            gone,
        );
        assert!(awaits.unwrap() >= 1);
    }
}

#[test]
fn dropped_it_stops_its_task_long_before_the_deadline() {
    paused(async {
        let backend = backend().latency(ms(60));
        let deadline = Deadline::after("request", ms(1000));
        assert!(timeout(ms(10), deadline.run_spawned(backend.fetch(1))).await.is_err());
        assert_eq!(testing::simulation::tasks_left().await, 0);
        assert_eq!(backend.calls()[0].ended, Some((ms(10), CallEnd::Dropped)));
    });
}

#[test]
fn the_grain_is_a_millisecond_and_a_limit_is_never_early() {
    paused(async {
        for micros in [1, 999, 1000, 1500, 2000] {
            let start = Instant::now();
            let budget = Duration::from_micros(micros);
            let late = Deadline::after("request", budget).run(pending::<()>()).await.unwrap_err();
            assert!(late.elapsed >= budget);
            assert_eq!(start.elapsed(), ms(micros.div_ceil(1000)), "a budget of {micros} µs");
        }
    });
}

#[test]
fn a_budget_without_end_is_no_overflow() {
    paused(async {
        let forever = Deadline::after("request", Duration::MAX);
        assert!(!forever.is_over());
        assert_eq!(forever.run(async { sleep(ms(5)).await }).await, Ok(()));
        assert_eq!(forever.within("call", Duration::MAX).limit(), "request");
        assert_eq!(forever.within("call", ms(5)).limit(), "call");
    });
}

#[test]
fn it_can_be_spawned_and_shared_by_reference() {
    paused(async {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            let deadline = Deadline::after("request", ms(50));
            async fn part(deadline: &Deadline) -> Result<(), TimedOut> {
                deadline.within("part", ms(80)).run(sleep(ms(30))).await
            }
            (part(&deadline).await, part(&deadline).await)
        });
        let (first, second) = tasks.join_next().await.unwrap().unwrap();
        assert_eq!(first, Ok(()));
        assert_eq!(second.unwrap_err().limit, "request");
    });
}

// What no timeout stops.

#[test]
fn work_that_never_awaits_is_not_interrupted_and_its_value_is_kept() {
    paused(async {
        let deadline = Deadline::after("request", ms(10));
        let compute = async {
            spend(ms(60));
            "late"
        };
        assert_eq!(deadline.run(compute).await, Ok("late"));
        assert_eq!(deadline.check().unwrap_err().elapsed, ms(60), "who minds asks afterwards");
        let deadline = Deadline::after("request", ms(10));
        let between = async {
            sleep(ms(1)).await;
            spend(ms(60));
            sleep(ms(1)).await;
        };
        // At its next await it is stopped.
        assert_eq!(deadline.run(between).await.unwrap_err().elapsed, ms(61));
    });
}

#[test]
fn a_task_whose_handle_was_timed_out_runs_on() {
    paused(async {
        let backend = backend().latency(ms(150));
        let mut tasks = JoinSet::new();
        tasks.spawn(backend.fetch(1));
        let deadline = Deadline::after("request", ms(100));
        assert!(deadline.run(tasks.join_next()).await.is_err());
        assert_eq!(backend.in_flight(), 1);
        sleep(ms(100)).await;
        assert_eq!(backend.calls()[0].ended, Some((ms(150), CallEnd::Replied)));
    });
}

#[test]
fn a_blocking_thread_runs_on_unless_it_asks_the_deadline() {
    // Real time: the paused clock does not pass while a blocking thread runs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (go, gate) = mpsc::channel::<()>();
        let (tell, told) = oneshot::channel();
        let thread = tokio::task::spawn_blocking(move || {
            let going = gate.recv();
            tell.send(going).is_ok()
        });
        assert!(Deadline::after("request", ms(5)).run(thread).await.is_err());
        // Given up, and still there: it gets what it waits for, and answers.
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(Ok(())));

        let deadline = Deadline::after("request", ms(5));
        let asks = move || {
            loop {
                if let Err(late) = deadline.check() {
                    break late.limit;
                }
            }
        };
        let asked = tokio::task::spawn_blocking(asks).await.unwrap();
        assert_eq!(asked, "request");
    });
}

#[test]
fn a_server_that_was_asked_goes_on_working() {
    paused(async {
        let (ask, asked) = oneshot::channel::<oneshot::Sender<&str>>();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let reply_to = asked.await.unwrap();
            sleep(ms(150)).await;
            // The order is booked, whoever listens.
            reply_to.send("booked").is_err()
        });
        let deadline = Deadline::after("request", ms(100));
        let call = async move {
            let (reply_to, reply) = oneshot::channel();
            ask.send(reply_to).unwrap();
            reply.await
        };
        assert!(deadline.run(call).await.is_err());
        let nobody_listened = server.join_next().await.unwrap().unwrap();
        assert!(nobody_listened);
    });
}
