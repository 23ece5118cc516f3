//! What a simulated run finds, and what it does not mind.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    let_underscore_drop,
    reason = "what is to be found"
)]

use std::{
    future::{pending, poll_fn},
    panic::catch_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use testing::{
    must_await, must_read,
    sim::{Failure, Kind, Sim, Simulation},
    snooze,
};
use tokio::{
    sync::{Mutex, Notify, Semaphore, mpsc, oneshot},
    task::{JoinSet, spawn_blocking, yield_now},
    time::{Instant, interval, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn fails(body: impl AsyncFnOnce(Sim) + Send + 'static) -> Failure {
    Simulation::new().check(body).expect_err("nothing was found")
}

fn finds(kind: Kind, body: impl AsyncFnOnce(Sim) + Send + 'static) -> String {
    let failure = fails(body);
    let kinds: Vec<Kind> = failure.complaints.iter().map(|complaint| complaint.kind).collect();
    assert_eq!(kinds, [kind], "{failure}");
    failure.to_string()
}

#[test]
fn what_the_body_gives_comes_back_and_hours_take_no_time() {
    let began = std::time::Instant::now();
    let slept = testing::sim(async |_| {
        let start = Instant::now();
        sleep(ms(1000 * 3600)).await;
        start.elapsed()
    });
    assert_eq!(slept, ms(1000 * 3600));
    assert!(began.elapsed() < Duration::from_secs(3600));
}

#[test]
fn an_assertion_of_the_body_is_its_failure_with_message_and_line() {
    let told = finds(Kind::Failed, async |_| assert_eq!(1 + 1, 3, "arithmetic"));
    let line = line!() - 1;
    assert!(told.contains("arithmetic") && told.contains(&format!("tests/sim.rs:{line}")), "{told}");
}

#[test]
#[should_panic(expected = "arithmetic")]
fn run_panics_with_the_failure() {
    testing::sim(async |_| assert_eq!(1 + 1, 3, "arithmetic"));
}

#[test]
fn two_locks_in_two_orders_are_a_deadlock_with_both_lines() {
    let (first, second) = (line!() + 7, line!() + 12);
    let told = finds(Kind::Deadlock, async |sim| {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (a2, b2) = (a.clone(), b.clone());
        sim.spawn("a, then b", async move {
            let _a = a.lock().await;
            yield_now().await;
            let _b = b.lock().await;
        });
        sim.spawn("b, then a", async move {
            let _b = b2.lock().await;
            yield_now().await;
            let _a = a2.lock().await;
        })
        .await
        .unwrap();
    });
    for part in ["`a, then b`", "`b, then a`", &format!("sim.rs:{first}"), &format!("sim.rs:{second}")] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn an_endless_ticker_does_not_hide_a_body_that_waits() {
    let failure = Simulation::new().horizon(Duration::from_secs(60)).check(async |sim| {
        sim.spawn("ticker", async {
            let mut ticks = interval(ms(100));
            loop {
                ticks.tick().await;
            }
        });
        pending::<()>().await;
    });
    assert!(failure.unwrap_err().has(Kind::Endless));
}

/// A gate that forgets who waits: it can be open and its waiters asleep.
#[derive(Default)]
struct Gate(AtomicBool);

impl Gate {
    async fn passed(&self) {
        poll_fn(|_| if self.0.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

#[test]
fn a_wake_up_that_is_lost_is_told_from_a_deadlock_in_the_body_and_in_a_task() {
    finds(Kind::LostWakeUp, async |_| {
        let gate = Arc::new(Gate::default());
        let opener = gate.clone();
        let opened = tokio::spawn(async move { opener.0.store(true, Relaxed) });
        gate.passed().await;
        opened.await.unwrap();
    });
    let told = finds(Kind::LostWakeUp, async |sim| {
        let gate = Arc::new(Gate::default());
        let opener = gate.clone();
        let guest = sim.spawn("guest", async move { gate.passed().await });
        sim.settle().await;
        opener.0.store(true, Relaxed);
        guest.await.unwrap();
    });
    assert!(told.contains("`guest`"), "{told}");
}

#[test]
fn a_task_that_outlives_the_body_is_a_leak_by_name_and_line() {
    let line = line!() + 2;
    let told = finds(Kind::Leak, async |sim| {
        sim.spawn("heartbeat", pending::<()>());
        tokio::spawn(pending::<()>());
    });
    assert!(told.contains("2 tasks are alive"), "{told}");
    assert!(told.contains(&format!("`heartbeat` (crates/testing/tests/sim.rs:{line})")), "{told}");
    assert!(told.contains("1 without a name"), "{told}");
}

#[test]
fn a_task_whose_handle_was_timed_out_is_a_leak() {
    finds(Kind::Leak, async |_| {
        let handle = tokio::spawn(sleep(ms(60_000)));
        assert!(timeout(ms(10), handle).await.is_err());
    });
}

#[test]
fn grace_lets_tasks_end_and_no_longer() {
    let detached = async |_: Sim| drop(tokio::spawn(sleep(ms(50))));
    Simulation::new().grace(ms(51)).check(detached).unwrap();
    assert!(Simulation::new().grace(ms(40)).check(detached).unwrap_err().has(Kind::Leak));
    assert!(Simulation::new().check(detached).unwrap_err().has(Kind::Leak));
}

#[test]
fn a_panic_of_a_detached_task_is_found_and_an_announced_one_is_not() {
    let panics = async |_: Sim| {
        tokio::spawn(async { panic!("the cache is gone") });
        sleep(ms(1)).await;
    };
    finds(Kind::TaskPanicked, async |sim| {
        drop(sim.spawn("named", async { panic!("the cache is gone") }));
        sim.settle().await;
    });
    let told = finds(Kind::TaskPanicked, panics);
    assert!(told.contains("the cache is gone") && told.contains("sim.rs:"), "{told}");
    testing::sim(async move |sim| {
        sim.expect_panic("cache");
        panics(sim).await;
    });
    assert!(
        fails(async move |sim| {
            sim.expect_panic("another");
            panics(sim).await;
        })
        .has(Kind::TaskPanicked)
    );
}

#[test]
fn a_panic_that_somebody_awaits_is_theirs() {
    testing::sim(async |sim| {
        assert!(tokio::spawn(async { panic!("awaited") }).await.unwrap_err().is_panic());
        let mut set = JoinSet::new();
        set.spawn(sleep(ms(1)));
        set.spawn(async { panic!("in a set") });
        assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
        set.join_next().await.unwrap().unwrap();
        let supervisor = sim.spawn("supervisor", async {
            let (fine, broken) =
                tokio::join!(tokio::spawn(sleep(ms(2))), tokio::spawn(async { panic!("joined") }));
            fine.is_ok() && broken.is_err()
        });
        assert!(supervisor.await.unwrap());
    });
}

#[test]
fn panics_of_a_set_at_one_instant_are_its_owners() {
    testing::sim(async |_| {
        let mut set = JoinSet::new();
        let mut joined = Vec::new();
        for _ in 0..20 {
            set.spawn(async {
                sleep(ms(5)).await;
                panic!("in a set")
            });
            joined.push(tokio::spawn(async {
                sleep(ms(15)).await;
                panic!("in a vector")
            }));
        }
        while let Some(ended) = set.join_next().await {
            let ended: Result<(), _> = ended;
            assert!(ended.unwrap_err().is_panic());
        }
        let ended: Vec<Result<(), _>> = futures_util::future::join_all(joined).await;
        assert!(ended.iter().all(Result::is_err));
    });
}

#[test]
fn a_panic_that_its_task_has_caught_is_no_panic_of_the_task() {
    testing::sim(async |_| {
        let server = tokio::spawn(async {
            let mut replies = Vec::new();
            for request in 0..3 {
                let handler = async move {
                    yield_now().await;
                    assert_ne!(request, 1, "the handler panics");
                };
                let handled =
                    futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(handler)).await;
                replies.push(if handled.is_ok() { 200 } else { 500 });
                sleep(ms(1)).await;
            }
            replies
        });
        sleep(ms(10)).await;
        assert_eq!(server.await.unwrap(), [200, 500, 200]);
    });
}

#[test]
fn a_panic_of_a_detached_task_is_found_beside_tasks_that_are_awaited() {
    // The wake-ups of those that end well come right after the panic.
    finds(Kind::TaskPanicked, async |_| {
        let before = tokio::spawn(async {});
        drop(tokio::spawn(async { panic!("unseen") }));
        let after = tokio::spawn(async {});
        let (before, after) = tokio::join!(before, after);
        before.and(after).unwrap();
    });
    // Its sender wakes the body, while it unwinds.
    finds(Kind::TaskPanicked, async |_| {
        let (send, receive) = oneshot::channel::<()>();
        drop(tokio::spawn(async move {
            let _send = send;
            yield_now().await;
            panic!("unseen");
        }));
        assert!(receive.await.is_err());
    });
}

#[test]
fn a_busy_loop_and_a_blocked_thread_are_stuck() {
    let impatient = || Simulation::new().patience(ms(300));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let spins = impatient().check(async move |_| {
        while !stopped.load(Relaxed) {
            yield_now().await;
        }
    });
    stop.store(true, Relaxed);
    assert!(spins.unwrap_err().has(Kind::Stuck));

    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocks = impatient().check(async move |_| _ = held.recv());
    drop(release);
    assert!(blocks.unwrap_err().has(Kind::Stuck));
}

#[cfg(target_os = "linux")]
#[test]
fn a_nap_of_the_thread_is_found_and_one_on_purpose_or_elsewhere_is_not() {
    let told = finds(Kind::Blocked, async |_| std::thread::sleep(ms(400)));
    assert!(told.contains("in the middle of a poll"), "{told}");
    testing::sim(async |sim| {
        sim.allow_blocking(|| std::thread::sleep(ms(300)));
        spawn_blocking(|| std::thread::sleep(ms(300))).await.unwrap();
    });
    assert!(
        fails(async |sim| {
            sim.allow_blocking(|| ());
            std::thread::sleep(ms(400));
        })
        .has(Kind::Blocked)
    );
}

#[test]
fn computing_is_no_nap() {
    testing::sim(async |_| {
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < ms(300) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        std::hint::black_box(sum);
    });
}

#[test]
fn settling_waits_for_everybody_and_moves_no_time() {
    testing::sim(async |sim| {
        let start = Instant::now();
        let steps = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for n in 1..=3 {
            let steps = steps.clone();
            tasks.spawn(async move {
                for _ in 0..100 * n {
                    yield_now().await;
                }
                steps.fetch_add(1, Relaxed);
                sleep(ms(10)).await;
                steps.fetch_add(1, Relaxed);
            });
        }
        sim.settle().await;
        assert_eq!((steps.load(Relaxed), start.elapsed()), (3, Duration::ZERO));
        sim.settle().await;
        assert_eq!((steps.load(Relaxed), start.elapsed()), (3, Duration::ZERO));
        sleep(ms(10)).await;
        sim.settle().await;
        assert_eq!((steps.load(Relaxed), start.elapsed()), (6, ms(10)));
        while tasks.join_next().await.is_some() {}
    });
}

#[test]
fn a_settling_that_is_dropped_or_shared_leaves_nothing_behind() {
    testing::sim(async |sim| {
        drop(sim.settle());
        {
            let mut settling = pin!(sim.settle());
            assert!(futures_util::poll!(settling.as_mut()).is_pending());
        }
        let start = Instant::now();
        tokio::join!(sim.settle(), sim.settle());
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

async fn save() -> u8 {
    yield_now().await;
    1
}

#[test]
fn a_future_that_was_never_awaited_is_found_where_it_was_made() {
    let line = line!() + 2;
    let told = finds(Kind::NeverAwaited, async |_| {
        let _saved = must_await(save());
        must_await(save()).await;
    });
    assert!(told.contains(&format!("sim.rs:{line}")) && told.contains("save"), "{told}");
}

#[test]
fn an_error_that_nobody_looked_at_is_found_and_one_that_was_read_is_not() {
    let told = finds(Kind::Unread, async |_| drop(vec![must_read(Ok(1)), must_read(Err("refused"))]));
    assert!(told.contains("refused"), "{told}");
    finds(Kind::Unread, async |_| assert_eq!(must_read::<u8, _>(Err("refused")).ok(), None));
    testing::sim(async |_| {
        let outcomes = vec![must_read(Ok(1)), must_read(Err("refused"))];
        let read: Vec<_> = outcomes.into_iter().map(testing::must::MustRead::read).collect();
        assert_eq!(read, [Ok(1), Err("refused")]);
    });
}

#[test]
fn the_futurelock_of_rfd_609_is_a_deadlock_and_a_snooze() {
    let failure = fails(async |sim| {
        let lock = Arc::new(Mutex::new(()));
        let holder = lock.clone();
        let held = sim.spawn("holder", async move {
            let _guard = holder.lock().await;
            sleep(ms(5000)).await;
        });
        sim.settle().await;
        let mut first = pin!(snooze::watch("first", async {
            let _guard = lock.lock().await;
        }));
        tokio::select! {
            () = &mut first => {}
            () = sleep(ms(500)) => drop(lock.lock().await),
        }
        held.await.unwrap();
    });
    assert!(failure.has(Kind::Deadlock) && failure.has(Kind::Snoozed), "{failure}");
    assert!(failure.to_string().contains("`first`"), "{failure}");
    let snoozed = failure.complaints.iter().filter(|complaint| complaint.kind == Kind::Snoozed);
    assert_eq!(snoozed.count(), 1, "told once, not each time that everything waits: {failure}");
}

#[test]
fn what_is_polled_whenever_it_was_woken_does_not_snooze() {
    testing::sim(async |_| {
        let mut watched = pin!(snooze::watch("nap", sleep(ms(50))));
        for _ in 0..9 {
            tokio::select! {
                biased;
                () = &mut watched => panic!("too early"),
                () = sleep(ms(5)) => {}
            }
        }
        watched.await;
        // Woken again and again, and polled each time.
        snooze::watch("naps", async {
            for _ in 0..3 {
                sleep(ms(5)).await;
            }
        })
        .await;
        // What wakes a future that has ended wakes nobody.
        let kept = std::sync::Mutex::new(None);
        let mut first = Box::pin(snooze::watch(
            "keeps its waker elsewhere",
            poll_fn(|cx| {
                let first = kept.lock().unwrap().replace(cx.waker().clone()).is_none();
                if first {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            }),
        ));
        (&mut first).await;
        kept.lock().unwrap().take().unwrap().wake();
        sleep(ms(1)).await;
        drop(first);
    });
}

#[test]
fn complaints_come_together_with_the_timeline() {
    let failure = fails(async |sim| {
        sim.spawn("the forgotten", pending::<()>());
        tokio::spawn(async { panic!("unseen") });
        let _saved = must_await(save());
        yield_now().await;
    });
    for kind in [Kind::Leak, Kind::TaskPanicked, Kind::NeverAwaited] {
        assert!(failure.has(kind), "{failure}");
    }
    assert!(failure.to_string().contains("the forgotten"));
    assert_eq!(failure.trace.lanes[0].name, "the forgotten");
}

#[test]
fn the_seed_decides_what_is_drawn() {
    let drawn = |seed| Simulation::new().seed(seed).run(async |sim| sim.random().u64(..));
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn a_failed_run_leaves_the_next_one_clean() {
    assert!(catch_unwind(|| testing::sim(async |_| panic!("once"))).is_err());
    assert!(fails(async |_| drop(must_await(save()))).has(Kind::NeverAwaited));
    testing::sim(async |_| ());
}

/// Six producers, a bounded queue, four workers behind a semaphore, a ticker that is told to stop, and a child that is
/// aborted and awaited: no bug.
async fn a_correct_program(sim: Sim) {
    let mut random = sim.random();
    let (send, receive) = mpsc::channel::<u64>(random.usize(1..8));
    let receive = Arc::new(Mutex::new(receive));
    let permits = Arc::new(Semaphore::new(random.usize(1..4)));
    let (stop, mut stopped) = oneshot::channel::<()>();
    let done = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    for producer in 0..6 {
        let (send, pause) = (send.clone(), random.u64(0..5));
        tasks.spawn(async move {
            for item in 0..5 {
                sleep(ms(pause)).await;
                send.send(producer * 5 + item).await.unwrap();
            }
            0
        });
    }
    drop(send);
    for _ in 0..4 {
        let (receive, permits, work) = (receive.clone(), permits.clone(), random.u64(0..9));
        tasks.spawn(async move {
            let mut sum = 0;
            loop {
                let item = receive.lock().await.recv().await;
                let Some(item) = item else { return sum };
                let _permit = permits.acquire().await.unwrap();
                must_await(sleep(ms(work))).await;
                sum += item;
            }
        });
    }
    let ticker = sim.spawn("ticker", {
        let done = done.clone();
        snooze::watch("ticker", async move {
            let mut ticks = interval(ms(3));
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break done.notify_one(),
                    _ = ticks.tick() => {}
                }
            }
        })
    });
    let doomed = sim.spawn("doomed", pending::<()>());
    let mut sum = 0;
    while let Some(part) = tasks.join_next().await {
        sum += must_read(part).read().unwrap();
    }
    assert_eq!(sum, (0..30).sum::<u64>());
    drop(stop);
    done.notified().await;
    ticker.await.unwrap();
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    sim.settle().await;
}

#[test]
fn a_correct_program_passes_a_thousand_seeds() {
    for seed in 0..1000 {
        Simulation::new().seed(seed).run(a_correct_program);
    }
}

#[test]
fn a_timer_beyond_the_horizon_is_no_deadlock() {
    for hours in [2, 24, 24 * 30] {
        let far = Simulation::new().check(async move |_| sleep(ms(hours * 3600 * 1000)).await);
        let failure = far.unwrap_err();
        assert!(failure.has(Kind::Endless) && !failure.has(Kind::Deadlock), "{hours} h: {failure}");
    }
    let slow = Simulation::new().check(async |_| {
        let mut hourly = interval(ms(3600 * 1000));
        loop {
            hourly.tick().await;
        }
    });
    assert!(slow.unwrap_err().has(Kind::Endless));
}
