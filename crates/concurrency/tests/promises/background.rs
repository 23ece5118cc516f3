//! What `background` promises.

use common::{Backend, backend::CallEnd, backend::Outcome, clock::paused, clock::paused_runtime};
use concurrency::{
    Spawner, Supervisor,
    background::{Backoff, Cause, Incident, Next, Refusal, Report, Restart, STUCK_AFTER},
};
use std::{
    future::pending,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};
use testing::{every_await, sim, sim::Simulation};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

type Error = &'static str;

/// What the sink was told, in words, with the time since the test began.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn sink(&self) -> impl Fn(Incident<Error>) + Send + Sync + 'static {
        let (told, start) = (self.0.clone(), Instant::now());
        move |incident| {
            told.lock().expect("no panic holds it").push(format!("{:?}: {incident}", start.elapsed()));
        }
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic holds it").clone()
    }
}

fn unbounded() -> (Supervisor<Error>, Told) {
    let told = Told::default();
    (Supervisor::unbounded(told.sink()), told)
}

fn bounded(limit: usize) -> (Supervisor<Error>, Told) {
    let told = Told::default();
    (Supervisor::bounded(NonZeroUsize::new(limit).expect("limits are not zero"), told.sink()), told)
}

/// No chance, no mercy: pauses of zero, so many restarts for ever.
const fn at_once(restarts: u32) -> Backoff {
    Backoff { first: Duration::ZERO, longest: Duration::ZERO, restarts, window: Duration::MAX, seed: 0 }
}

fn backoff(restarts: u32, window: Duration) -> Backoff {
    Backoff { first: ms(100), longest: ms(1000), restarts, window, seed: 7 }
}

/// Counts destructors.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Counted(Drops);

impl Drops {
    fn guard(&self) -> Counted {
        Counted(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

/// A destructor that panics.
struct Explosive(Error);

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads can be had")
}

fn report(of: impl FnOnce(&mut Report)) -> Report {
    let mut report = Report::default();
    of(&mut report);
    report
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(str::to_owned).collect()
}

#[test]
fn an_error_and_a_panic_are_told_when_they_happen_with_name_attempt_and_time() {
    sim(async |_| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        background
            .spawn("mail 7", async |_| {
                sleep(ms(30)).await;
                Err("no such address")
            })
            .unwrap();
        background
            .spawn("audit", async |_| {
                sleep(ms(20)).await;
                panic!("line {} has no author", 3)
            })
            .unwrap();
        background.spawn("fine", async |_| Ok(())).unwrap();
        sleep(ms(40)).await;
        assert_eq!(
            told.all(),
            [
                "20ms: `audit` panicked: line 3 has no author (attempt 1, after 20ms; not restarted)",
                "30ms: `mail 7` failed: no such address (attempt 1, after 30ms; not restarted)",
            ]
        );
        assert!(supervisor.alive().is_empty(), "what has ended is forgotten");
        assert!(supervisor.shutdown(ms(10)).await.is_clean(), "what had ended before is not in the report");
    });
}

#[test]
fn a_panic_outside_of_the_first_poll_is_told_too() {
    sim(async |_| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        // `work` itself, before it has made a future.
        let broken = Drops::default().count() + 1;
        background
            .spawn("maker", move |_| {
                assert_eq!(broken, 0, "no future");
                async { Ok(()) }
            })
            .unwrap();
        // What the future holds when it ends.
        background
            .spawn("holder", async |_| {
                let _held = Explosive("held");
                Ok(())
            })
            .unwrap();
        // What `work` holds between attempts, and at its end.
        let explosive = Explosive("captured");
        background
            .keep_up("captor", Restart::OnFailure(at_once(1)), move |_| {
                let _: &Explosive = &explosive;
                async { Ok(()) }
            })
            .unwrap();
        sleep(ms(1)).await;
        let mut told = told.all();
        told.sort();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("`captor` panicked: captured"), "{told:?}");
        assert!(told[1].contains("`holder` panicked: held"), "{told:?}");
        assert!(told[2].contains("no future"), "{told:?}");
        assert!(supervisor.alive().is_empty());
    });
}

#[test]
fn a_destructor_that_panics_after_the_abort_is_told_and_stops_nobody() {
    sim(async |_| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        let drops = Drops::default();
        for n in 0..4 {
            let guard = drops.guard();
            background
                .spawn(format!("{n}"), async move |_| {
                    let _guard = guard;
                    let _explosive = (n == 1).then(|| Explosive("in the way"));
                    pending().await
                })
                .unwrap();
        }
        sleep(ms(5)).await;
        let end = supervisor.shutdown(ms(10)).await;
        assert_eq!(
            end,
            report(|end| {
                end.aborted = names(&["0", "2", "3"]);
                end.panicked = names(&["1"]);
            })
        );
        assert_eq!(told.all(), ["15ms: `1` panicked: in the way (attempt 1, after 15ms; not restarted)"]);
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn what_fails_is_begun_again_after_pauses_that_double_up_to_the_longest() {
    for seed in 0..50 {
        sim(async move |_| {
            let (tell, told) = mpsc::channel();
            let supervisor = Supervisor::unbounded(move |incident: Incident<Error>| {
                tell.send((incident.attempt, incident.ran, incident.next)).unwrap();
            });
            let begun = Arc::new(Mutex::new(Vec::new()));
            let (times, start) = (begun.clone(), Instant::now());
            let policy =
                Backoff { first: ms(100), longest: ms(700), restarts: 6, window: Duration::MAX, seed };
            supervisor
                .spawner()
                .keep_up("refresher", Restart::OnFailure(policy), move |_| {
                    times.lock().unwrap().push(start.elapsed());
                    async {
                        sleep(ms(10)).await;
                        Err("down")
                    }
                })
                .unwrap();
            sleep(Duration::from_secs(60)).await;
            let told: Vec<_> = told.try_iter().collect();
            let begun = begun.lock().unwrap().clone();
            assert_eq!((told.len(), begun.len()), (7, 7));
            for (n, full) in [100, 200, 400, 700, 700, 700].into_iter().map(ms).enumerate() {
                let (attempt, ran, Next::Restarts { after }) = told[n] else { panic!("{told:?}") };
                assert_eq!((attempt, ran), (u32::try_from(n).unwrap() + 1, ms(10)));
                assert!(full / 2 <= after && after <= full, "pause {n}: {after:?} of {full:?}");
                let paused = begun[n + 1] - begun[n] - ms(10);
                assert!(after <= paused && paused <= after + ms(1), "told {after:?}, and it was {paused:?}");
            }
            assert_eq!(told[6].2, Next::GivesUp);
            assert!(supervisor.alive().is_empty());
        });
    }
}

/// The pauses of tasks that fail at once.
fn pauses(seed: u64, tasks: u32) -> Vec<Vec<Duration>> {
    paused(async {
        let drawn = Arc::new(Mutex::new(vec![Vec::new(); tasks as usize]));
        let told = drawn.clone();
        let supervisor = Supervisor::unbounded(move |incident: Incident<Error>| {
            if let Next::Restarts { after } = incident.next {
                told.lock().expect("no panic holds it")
                    [incident.name.parse::<usize>().expect("it is a number")]
                .push(after);
            }
        });
        for n in 0..tasks {
            let policy = Backoff { seed, ..backoff(5, Duration::MAX) };
            supervisor
                .spawner()
                .keep_up(n.to_string(), Restart::OnFailure(policy), async |_| Err("down"))
                .expect("the supervisor is open");
        }
        sleep(Duration::from_secs(60)).await;
        drop(supervisor);
        std::mem::take(&mut *drawn.lock().expect("no panic holds it"))
    })
}

#[test]
fn chance_follows_from_the_seed_and_no_two_tasks_wait_alike() {
    assert_eq!(pauses(1, 3), pauses(1, 3));
    assert_ne!(pauses(1, 3), pauses(2, 3));
    let mut first: Vec<Duration> = pauses(1, 50).iter().map(|pauses| pauses[0]).collect();
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 50);
    assert!(first[0] < ms(60) && first[49] > ms(90), "they spread over the whole half: {first:?}");
}

#[test]
fn after_so_many_restarts_in_the_window_the_failure_is_final() {
    for restarts in [0, 1, 3] {
        sim(async move |_| {
            let (supervisor, told) = unbounded();
            let attempts = Arc::new(AtomicUsize::new(0));
            let count = attempts.clone();
            supervisor
                .spawner()
                .keep_up("x", Restart::OnFailure(backoff(restarts, ms(1))), move |_| {
                    count.fetch_add(1, SeqCst);
                    async { panic!("always") }
                })
                .unwrap();
            // The pauses are a thousand times as long as the window. They are not part of it.
            sleep(Duration::from_secs(60)).await;
            assert_eq!(attempts.load(SeqCst), restarts as usize + 1);
            let told = told.all();
            let finals: Vec<bool> = told.iter().map(|told| told.ends_with("given up)")).collect();
            assert_eq!(finals, [vec![false; restarts as usize], vec![true]].concat(), "{told:?}");
            assert!(supervisor.alive().is_empty());
        });
    }
}

#[test]
fn a_restart_is_forgotten_when_the_task_has_run_for_the_window() {
    // 2 restarts in 100 ms: with runs of 60 ms, the third failure finds one restart in the window, for ever.
    for (run, restarts) in [(60, None), (50, None), (49, Some(2)), (10, Some(2))] {
        sim(async move |_| {
            let (supervisor, told) = unbounded();
            let policy = Backoff { first: ms(10), longest: ms(1000), ..backoff(2, ms(100)) };
            supervisor
                .spawner()
                .keep_up("x", Restart::OnFailure(policy), move |_| async move {
                    sleep(ms(run)).await;
                    Err("again")
                })
                .unwrap();
            sleep(Duration::from_secs(10)).await;
            let told = told.all();
            let given_up = told.iter().position(|told| told.ends_with("given up)"));
            assert_eq!(given_up, restarts, "runs of {run} ms: {told:?}");
            if restarts.is_none() {
                assert!(told.len() > 50, "the pauses stay short, too: {}", told.len());
            }
            drop(supervisor);
        });
    }
}

#[test]
fn always_restarts_what_returns_and_on_failure_does_not() {
    sim(async |_| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        let policy = Backoff { first: ms(100), longest: ms(100), ..backoff(1, Duration::MAX) };
        let work = |_| async {
            sleep(ms(5)).await;
            Ok(())
        };
        background.keep_up("always", Restart::Always(policy), work).unwrap();
        background.keep_up("on failure", Restart::OnFailure(policy), work).unwrap();
        sleep(ms(1000)).await;
        let told = told.all();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("5ms: `always` returned (attempt 1, after 5ms; again in "), "{told:?}");
        assert!(told[1].ends_with("`always` returned (attempt 2, after 5ms; given up)"), "{told:?}");
        assert!(supervisor.alive().is_empty());
    });
}

#[test]
fn an_attempt_has_been_dropped_before_the_next_begins() {
    sim(async |_| {
        let (supervisor, _told) = unbounded();
        let (alive, peak) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
        let (begun, most) = (Arc::new(AtomicUsize::new(0)), peak.clone());
        supervisor
            .spawner()
            .keep_up("x", Restart::OnFailure(at_once(20)), move |_| {
                let (guard, n) = (alive.guard(), begun.fetch_add(1, SeqCst) + 1);
                most.fetch_max(n - alive.count(), SeqCst);
                async move {
                    let _guard = guard;
                    tokio::task::yield_now().await;
                    if n.is_multiple_of(2) { Err("again") } else { panic!("again") }
                }
            })
            .unwrap();
        sleep(ms(100)).await;
        assert_eq!(peak.load(SeqCst), 1);
    });
}

#[test]
fn when_it_is_full_the_work_comes_back_and_can_still_be_done() {
    sim(async |_| {
        let (supervisor, told) = bounded(2);
        let background = supervisor.spawner();
        background
            .spawn("short", async |_| {
                sleep(ms(10)).await;
                Ok(())
            })
            .unwrap();
        // A task in its pause has its place.
        let policy = Backoff { first: ms(100), longest: ms(100), ..backoff(1, Duration::MAX) };
        background.keep_up("paused", Restart::OnFailure(policy), async |_| Err("down")).unwrap();
        sleep(ms(5)).await;
        let drops = Drops::default();
        let guard = drops.guard();
        let refused = background
            .spawn("mail", async move |_| {
                drop(guard);
                Ok(())
            })
            .unwrap_err();
        assert_eq!((refused.name.as_str(), refused.why, drops.count()), ("mail", Refusal::Full, 0));
        assert_eq!(refused.to_string(), "`mail` was refused: as many background tasks are alive as may be");
        assert_eq!(
            background.keep_up("other", Restart::Always(policy), async |_| pending().await).unwrap_err().why,
            Refusal::Full
        );
        sleep(ms(10)).await;
        background.spawn(refused.name, refused.work).unwrap();
        sleep(ms(1)).await;
        assert_eq!(drops.count(), 1, "given back, and begun when there is room");
        assert_eq!(supervisor.alive(), ["paused"]);
        assert_eq!(told.all().len(), 1);
        drop(supervisor);
    });
}

#[test]
fn who_waits_for_room_gets_it_in_order_and_never_more_than_the_limit_are_alive() {
    for limit in [1, 3, 8] {
        sim(async move |sim| {
            let (supervisor, _told) = bounded(limit);
            let backend = Backend::new(sim.recorder()).latency(ms(10));
            for n in 0..20 {
                let call = backend.fetch(n);
                supervisor
                    .spawner()
                    .spawn_when_free(format!("{n}"), async move |_| call.await.map(drop).map_err(|_| "down"))
                    .await
                    .unwrap();
                assert!(supervisor.alive().len() <= limit);
            }
            let end = supervisor.shutdown(ms(1000)).await;
            assert!(end.is_clean(), "{end}");
            assert_eq!((backend.peak(), backend.first_gap(limit)), (limit, None));
            let ids: Vec<u32> = backend.calls().iter().map(|call| call.id).collect();
            assert_eq!(ids, (0..20).collect::<Vec<u32>>());
            assert!(sim.recorder().now() < ms(20 / limit as u64 * 10 + 11));
        });
    }
}

#[test]
fn who_waits_for_room_is_refused_when_the_shutdown_begins() {
    sim(async |sim| {
        let (supervisor, _told) = bounded(1);
        let background = supervisor.spawner();
        background.spawn("first", async |_| pending().await).unwrap();
        let waits = background.clone();
        let waiting = sim.spawn("waits", async move {
            waits.spawn_when_free("second", async |_| Ok(())).await.map_err(|refused| refused.why)
        });
        sim.settle().await;
        let end = supervisor.shutdown(ms(50)).await;
        assert_eq!(end, report(|end| end.aborted = names(&["first"])));
        assert_eq!(waiting.await.unwrap(), Err(Refusal::Closed));
    });
}

#[test]
fn a_shutdown_asks_then_aborts_and_says_how_each_ended() {
    sim(async |sim| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        let backend =
            Backend::new(sim.recorder()).on(1, ms(60), Outcome::Reply).on(2, ms(500), Outcome::Reply);
        let drops = Drops::default();
        // Stops when it is asked to, and finishes what it has begun.
        let (call, guard) = (backend.fetch(1), drops.guard());
        background
            .spawn("writer", async move |stop| {
                let _guard = guard;
                stop.cancelled().await;
                call.await.map(drop).map_err(|_| "not written")
            })
            .unwrap();
        // Does not look at its token, and is done in time; or not.
        for (name, time, result) in
            [("quick", 30, Ok(())), ("quick to fail", 40, Err("down")), ("slow", 1000, Ok(()))]
        {
            let guard = drops.guard();
            background
                .spawn(name, async move |_| {
                    let _guard = guard;
                    sleep(ms(time)).await;
                    result
                })
                .unwrap();
        }
        let call = backend.fetch(2);
        background.spawn("call", async move |_| call.await.map(drop).map_err(|_| "down")).unwrap();
        background
            .spawn("panics", async |stop| {
                stop.cancelled().await;
                panic!("not like this")
            })
            .unwrap();
        sleep(ms(10)).await;
        let start = Instant::now();
        let end = supervisor.shutdown(ms(100)).await;
        assert_eq!(start.elapsed(), ms(100));
        assert_eq!(
            end,
            report(|end| {
                end.finished = names(&["quick", "writer"]);
                end.failed = names(&["quick to fail"]);
                end.panicked = names(&["panics"]);
                end.aborted = names(&["slow", "call"]);
            })
        );
        assert!(!end.is_clean());
        assert_eq!(
            end.to_string(),
            "2 finished, 1 failed (quick to fail), 1 panicked (panics), 2 aborted (slow, call)"
        );
        assert_eq!((drops.count(), backend.in_flight()), (4, 0), "destructors have run on return");
        let ends: Vec<_> = backend.calls().iter().map(|call| (call.id, call.ended.unwrap().1)).collect();
        assert_eq!(ends, [(2, CallEnd::Dropped), (1, CallEnd::Replied)]);
        assert_eq!(told.all().len(), 2);
    });
}

#[test]
fn a_shutdown_returns_as_soon_as_the_last_task_has_gone() {
    sim(async |_| {
        let (supervisor, _told) = unbounded();
        supervisor
            .spawner()
            .spawn("x", async |stop| {
                stop.cancelled().await;
                sleep(ms(10)).await;
                Ok(())
            })
            .unwrap();
        let start = Instant::now();
        assert!(supervisor.shutdown(Duration::from_secs(30)).await.is_clean());
        assert_eq!(start.elapsed(), ms(10));
    });
}

#[test]
fn without_grace_a_shutdown_aborts_at_once_and_still_waits_for_destructors() {
    sim(async |_| {
        let (supervisor, _told) = unbounded();
        let drops = Drops::default();
        let guard = drops.guard();
        supervisor
            .spawner()
            .spawn("x", async move |stop| {
                let _guard = guard;
                stop.cancelled().await;
                Ok(())
            })
            .unwrap();
        // Not even begun.
        let guard = drops.guard();
        supervisor
            .spawner()
            .spawn("y", async move |_| {
                let _guard = guard;
                Ok(())
            })
            .unwrap();
        let start = Instant::now();
        let end = supervisor.shutdown(Duration::ZERO).await;
        assert_eq!(end, report(|end| end.aborted = names(&["x", "y"])));
        assert_eq!((start.elapsed(), drops.count()), (Duration::ZERO, 2));
    });
}

#[test]
fn nothing_is_restarted_once_the_shutdown_has_begun() {
    sim(async |_| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        let long = Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(60), ..at_once(9) };
        background.keep_up("in a pause", Restart::OnFailure(long), async |_| Err("down")).unwrap();
        background.keep_up("panicked", Restart::OnFailure(long), async |_| panic!("down")).unwrap();
        background.keep_up("returned", Restart::Always(long), async |_| Ok(())).unwrap();
        for (name, result) in [("fails late", Err("late")), ("stops", Ok(()))] {
            background
                .keep_up(name, Restart::Always(at_once(9)), move |stop| async move {
                    stop.cancelled().await;
                    result
                })
                .unwrap();
        }
        sleep(ms(10)).await;
        let start = Instant::now();
        let end = supervisor.shutdown(Duration::from_secs(30)).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "a pause is not waited for");
        let mut failed = end.failed.clone();
        failed.sort();
        assert_eq!(failed, ["fails late", "in a pause"]);
        assert_eq!((end.panicked, end.aborted), (names(&["panicked"]), vec![]));
        let mut finished = end.finished;
        finished.sort();
        assert_eq!(finished, ["returned", "stops"], "who returns because it is asked to, has done well");
        let told = told.all();
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[3], "10ms: `fails late` failed: late (attempt 1, after 10ms; not restarted)");
    });
}

#[test]
fn after_a_shutdown_or_a_drop_no_task_is_taken_and_the_work_comes_back() {
    sim(async |_| {
        for dropped in [false, true] {
            let (supervisor, _told) = unbounded();
            let background = supervisor.spawner();
            // From inside, while the shutdown goes on, too.
            let (inside, (told, seen)) = (background.clone(), oneshot::channel());
            background
                .spawn("x", async move |stop| {
                    stop.cancelled().await;
                    told.send(inside.spawn("late", async |_| Ok(())).unwrap_err().why).ok();
                    Ok(())
                })
                .unwrap();
            sleep(ms(1)).await;
            if dropped {
                drop(supervisor);
            } else {
                assert!(supervisor.shutdown(ms(10)).await.is_clean());
                assert_eq!(seen.await, Ok(Refusal::Closed));
            }
            let (tell, told) = oneshot::channel();
            let refused = background
                .spawn("mail", async move |_| {
                    tell.send(()).ok();
                    Ok(())
                })
                .unwrap_err();
            assert_eq!(
                (refused.why, format!("{background:?}").as_str()),
                (Refusal::Closed, "Spawner { open: false, .. }")
            );
            (refused.work)(tokio_util::sync::CancellationToken::new()).await.unwrap();
            told.await.unwrap();
            let refused = background.spawn_when_free("mail", async |_| Ok(())).await.unwrap_err();
            assert_eq!(refused.why, Refusal::Closed);
            let policy = Restart::OnFailure(at_once(1));
            assert_eq!(background.keep_up("m", policy, async |_| Ok(())).unwrap_err().why, Refusal::Closed);
        }
    });
}

#[test]
fn dropped_it_aborts_every_task_and_leaves_none_behind() {
    sim(async |sim| {
        let (supervisor, told) = unbounded();
        let background = supervisor.spawner();
        let backend = Backend::new(sim.recorder()).latency(ms(1000));
        let drops = Drops::default();
        for n in 0..5 {
            let (call, guard, inside) = (backend.fetch(n), drops.guard(), background.clone());
            background
                .spawn(format!("{n}"), async move |stop| {
                    let (_guard, _inside) = (guard, inside);
                    tokio::select! {
                        () = stop.cancelled() => panic!("an aborted task is not polled again"),
                        reply = call => reply.map(drop).map_err(|_| "down"),
                    }
                })
                .unwrap();
        }
        background.keep_up("5", Restart::OnFailure(backoff(9, ms(1))), async |_| Err("down")).unwrap();
        sleep(ms(10)).await;
        drop(supervisor);
        sim.settle().await;
        assert_eq!((drops.count(), backend.in_flight()), (5, 0));
        assert_eq!(told.all().len(), 1, "an abort is no failure");
    });
}

#[test]
fn dropped_by_one_of_its_own_tasks_it_aborts_that_one_too() {
    sim(async |sim| {
        let (supervisor, _told) = unbounded();
        let background = supervisor.spawner();
        let drops = Drops::default();
        for n in 0..3 {
            let guard = drops.guard();
            background
                .spawn(format!("{n}"), async move |_| {
                    let _guard = guard;
                    pending().await
                })
                .unwrap();
        }
        let guard = drops.guard();
        background
            .spawn("last", async move |_| {
                let _guard = guard;
                drop(supervisor);
                pending().await
            })
            .unwrap();
        sim.settle().await;
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn a_sink_that_panics_costs_what_it_was_told_and_no_more() {
    sim(async |sim| {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let supervisor = Supervisor::unbounded(move |_: Incident<Error>| {
            if count.fetch_add(1, SeqCst).is_multiple_of(2) {
                panic!("the disk is full");
            }
        });
        supervisor
            .spawner()
            .keep_up("x", Restart::OnFailure(at_once(4)), async |_| {
                sleep(ms(1)).await;
                Err("down")
            })
            .unwrap();
        supervisor.spawner().spawn("y", async |_| pending().await).unwrap();
        sleep(ms(100)).await;
        sim.settle().await;
        assert_eq!(told.load(SeqCst), 5, "restarts go on");
        let end = supervisor.shutdown(ms(10)).await;
        assert_eq!(
            end,
            report(|end| {
                end.aborted = names(&["y"]);
                end.untold = 3;
            })
        );
        assert_eq!(end.to_string(), "0 finished, 1 aborted (y), 3 untold");
    });
}

#[test]
fn a_report_is_clean_only_if_the_sink_was_told_of_everything() {
    assert!(report(|end| end.finished = names(&["x"])).is_clean());
    for unclean in [
        report(|end| end.failed = names(&["x"])),
        report(|end| end.panicked = names(&["x"])),
        report(|end| end.aborted = names(&["x"])),
        report(|end| end.stuck = names(&["x"])),
        report(|end| end.untold = 1),
    ] {
        assert!(!unclean.is_clean(), "{unclean}");
    }
}

#[test]
fn tasks_and_the_sink_can_spawn() {
    sim(async |_| {
        let (tell, told) = mpsc::channel();
        let slot: Arc<Mutex<Option<Spawner<Error>>>> = Arc::default();
        let inside = slot.clone();
        let supervisor = Supervisor::unbounded(move |incident: Incident<Error>| {
            tell.send(incident.name.clone()).unwrap();
            if incident.name == "mail" {
                let guard = inside.lock().unwrap();
                let background = guard.as_ref().unwrap();
                background.spawn("mail, by post", async |_| Err("no stamps")).unwrap();
            }
        });
        let background = supervisor.spawner();
        *slot.lock().unwrap() = Some(background.clone());
        let inside = background.clone();
        background
            .spawn("order", async move |_| {
                inside.spawn("mail", async |_| Err("no such address")).unwrap();
                Ok(())
            })
            .unwrap();
        sleep(ms(1)).await;
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["mail", "mail, by post"]);
        drop(supervisor);
        assert!(
            told.recv().is_err(),
            "spawners, even one in the sink, keep the sink alive no longer than the tasks"
        );
    });
}

#[test]
fn a_task_that_cancels_its_own_token_stops_nobody_else() {
    sim(async |sim| {
        let (supervisor, _told) = unbounded();
        let background = supervisor.spawner();
        background
            .spawn("x", async |stop| {
                stop.cancel();
                Ok(())
            })
            .unwrap();
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        background
            .keep_up("y", Restart::Always(at_once(3)), move |stop| {
                let n = count.fetch_add(1, SeqCst);
                async move {
                    assert!(!stop.is_cancelled(), "each attempt has a token of its own");
                    stop.cancel();
                    if n == 3 { pending().await } else { Ok(()) }
                }
            })
            .unwrap();
        background
            .spawn("z", async |stop| {
                stop.cancelled().await;
                Ok(())
            })
            .unwrap();
        sim.settle().await;
        sleep(ms(5)).await;
        assert_eq!((supervisor.alive(), attempts.load(SeqCst)), (names(&["y", "z"]), 4));
        drop(supervisor);
    });
}

#[test]
fn a_hundred_thousand_short_tasks_leave_nothing_behind() {
    paused(async {
        let (supervisor, told) = bounded(64);
        let background = supervisor.spawner();
        let drops = Drops::default();
        for n in 0..100_000 {
            let guard = drops.guard();
            background
                .spawn_when_free(n.to_string(), async move |_| {
                    drop(guard);
                    Ok(())
                })
                .await
                .unwrap();
        }
        while !supervisor.alive().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!((drops.count(), told.all().len()), (100_000, 0));
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        assert_eq!(format!("{supervisor:?}"), "Supervisor { alive: [], .. }");
    });
}

/// For what may hang a thread. Bounded in real time, too.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    end.recv_timeout(Duration::from_secs(30)).expect("the thread hangs, or it panicked")
}

#[test]
fn a_task_that_blocks_its_thread_is_named_and_does_not_hang_the_shutdown() {
    on_a_thread(|| {
        let workers = two_workers();
        let (supervisor, told) = {
            let _in = workers.enter();
            unbounded()
        };
        let ((release, released), (begun, begin)) = (mpsc::channel::<()>(), mpsc::channel());
        let drops = Drops::default();
        let guard = drops.guard();
        supervisor
            .spawner()
            .spawn("compresses", async move |stop| {
                let _guard = guard;
                begun.send(()).unwrap();
                assert!(released.recv().is_err());
                assert!(stop.is_cancelled());
                pending().await
            })
            .unwrap();
        begin.recv().unwrap();
        // The clock of this runtime is paused, so that nobody waits in earnest; the task blocks a thread of the other.
        let (end, took) = paused_runtime().block_on(async {
            let start = Instant::now();
            (supervisor.shutdown(ms(50)).await, start.elapsed())
        });
        assert_eq!(end, report(|end| end.stuck = names(&["compresses"])));
        assert_eq!((took, drops.count()), (ms(50) + STUCK_AFTER, 0));
        // It was aborted: at its next await it is gone after all.
        drop(release);
        while drops.count() == 0 {
            std::thread::yield_now();
        }
        assert!(told.all().is_empty());
    });
}

#[test]
fn when_the_runtime_is_shut_down_tasks_are_dropped_and_reported_as_aborted() {
    for workers in [false, true] {
        on_a_thread(move || {
            let runtime = if workers { two_workers() } else { paused_runtime() };
            let drops = Drops::default();
            let (supervisor, background) = runtime.block_on(async {
                let (supervisor, _told) = unbounded();
                let background = supervisor.spawner();
                for n in 0..4 {
                    let guard = drops.guard();
                    background
                        .spawn(format!("{n}"), async move |_| {
                            let _guard = guard;
                            pending().await
                        })
                        .unwrap();
                }
                tokio::task::yield_now().await;
                (supervisor, background)
            });
            drop(runtime);
            assert_eq!((drops.count(), supervisor.alive().len()), (4, 0));
            // The work comes back, rather than to vanish with the runtime.
            let guard = drops.guard();
            let refused = background
                .spawn("late", async move |_| {
                    drop(guard);
                    Ok(())
                })
                .unwrap_err();
            assert_eq!((refused.name.as_str(), refused.why, drops.count()), ("late", Refusal::Closed, 4));
            let end = paused(supervisor.shutdown(ms(10)));
            assert!(end.is_clean(), "they had ended before: {end}");
        });
    }
}

#[test]
fn a_shutdown_that_is_waited_for_elsewhere_ends_with_the_runtime() {
    on_a_thread(|| {
        let runtime = two_workers();
        let (supervisor, _told) = {
            let _in = runtime.enter();
            unbounded()
        };
        supervisor.spawner().spawn("x", async |_| pending().await).unwrap();
        let waiting = std::thread::spawn(move || {
            let elsewhere = Builder::new_current_thread().enable_time().build().unwrap();
            elsewhere.block_on(supervisor.shutdown(Duration::from_secs(60)))
        });
        runtime.shutdown_background();
        let end = waiting.join().unwrap();
        // Dropped by the runtime before or after the shutdown began.
        assert!(end == Report::default() || end == report(|end| end.aborted = names(&["x"])), "{end}");
    });
}

#[test]
fn a_task_can_be_spawned_from_a_thread_outside_of_the_runtime() {
    sim(async |_| {
        let (supervisor, _told) = unbounded();
        let background = supervisor.spawner();
        let (tell, told) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            std::thread::spawn(move || {
                background
                    .spawn("x", async move |_| {
                        tell.send(7).ok();
                        Ok(())
                    })
                    .unwrap();
            })
            .join()
            .unwrap();
        })
        .await
        .unwrap();
        assert_eq!(told.await, Ok(7));
        assert!(supervisor.shutdown(ms(10)).await.is_clean());
    });
}

#[test]
fn on_several_threads_each_task_is_refused_or_has_gone_and_each_failure_is_told() {
    on_a_thread(|| {
        two_workers().block_on(async {
            for round in 0..60_u32 {
                let (failed, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let count = told.clone();
                let supervisor = Supervisor::unbounded(move |incident: Incident<Error>| {
                    assert!(matches!(incident.cause, Cause::Failed(_) | Cause::Panicked(_)));
                    count.fetch_add(1, SeqCst);
                });
                let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Drops::default());
                let start = Arc::new(Notify::new());
                let spawner = || {
                    let (background, begun, ended) = (supervisor.spawner(), begun.clone(), ended.clone());
                    let (start, failed) = (start.clone(), failed.clone());
                    tokio::task::spawn_blocking(move || {
                        start.notify_one();
                        for n in 0..300 {
                            let (guard, failed) = (ended.guard(), failed.clone());
                            let spawned = background.spawn(n.to_string(), async move |_| {
                                let _guard = guard;
                                for _ in 0..n % 3 {
                                    tokio::task::yield_now().await;
                                }
                                failed.fetch_add(usize::from(n % 5 < 2), SeqCst);
                                match n % 5 {
                                    0 => Err("down"),
                                    1 => std::panic::resume_unwind(Box::new("bug")),
                                    2 => pending().await,
                                    _ => Ok(()),
                                }
                            });
                            if spawned.is_err() {
                                break;
                            }
                            begun.fetch_add(1, SeqCst);
                        }
                    })
                };
                let spawners = [spawner(), spawner(), spawner()];
                start.notified().await;
                for _ in 0..round % 7 {
                    tokio::task::yield_now().await;
                }
                let end = supervisor.shutdown(ms(u64::from(round % 2))).await;
                assert_eq!(end.untold, 0);
                let gone = ended.count();
                for spawner in spawners {
                    spawner.await.unwrap();
                }
                let (begun, late) = (begun.load(SeqCst), ended.count() - gone);
                // Work that was refused only now is dropped only now.
                // So is, on a machine that is too busy, what a worker did not come to within a second.
                assert!(late <= 3 + end.stuck.len(), "{late} of {begun} were alive on return: {end}");
                // What held them may be a moment from its end on another thread.
                while Handle::current().metrics().num_alive_tasks() > 0 {
                    tokio::task::yield_now().await;
                }
                assert!(begun <= ended.count());
                assert_eq!(failed.load(SeqCst), told.load(SeqCst));
            }
        });
    });
}

#[test]
fn dropped_at_any_await_a_shutdown_leaves_no_task_behind() {
    type Setup = (Mutex<Option<Supervisor<Error>>>, Drops, Weak<()>);
    let setup = || -> Setup {
        let (supervisor, _told) = unbounded();
        let background = supervisor.spawner();
        let (drops, alive) = (Drops::default(), Arc::new(()));
        for n in 0..3 {
            let (guard, held) = (drops.guard(), alive.clone());
            background
                .spawn(format!("{n}"), async move |stop| {
                    let (_guard, _held) = (guard, held);
                    if n == 0 {
                        pending::<()>().await;
                    }
                    stop.cancelled().await;
                    sleep(ms(10 * n)).await;
                    Ok(())
                })
                .unwrap();
        }
        background.keep_up("x", Restart::OnFailure(backoff(9, ms(1))), async |_| Err("down")).unwrap();
        (Mutex::new(Some(supervisor)), drops, Arc::downgrade(&alive))
    };
    let awaits = every_await(
        setup,
        |(supervisor, ..)| {
            let supervisor = supervisor.lock().unwrap().take();
            async move {
                if let Some(supervisor) = supervisor {
                    drop(supervisor.shutdown(ms(50)).await);
                }
            }
        },
        async |(_, drops, alive)| match (drops.count(), alive.strong_count()) {
            (3, 0) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn dropped_while_it_waits_for_room_it_begins_nothing_and_takes_no_place() {
    let awaits = every_await(
        || {
            let (supervisor, _told) = bounded(1);
            supervisor
                .spawner()
                .spawn("first", async |_| {
                    sleep(ms(10)).await;
                    Ok(())
                })
                .unwrap();
            (supervisor, Drops::default())
        },
        |(supervisor, drops)| {
            let (background, guard) = (supervisor.spawner(), drops.guard());
            async move {
                drop(
                    background
                        .spawn_when_free("second", async move |_| {
                            drop(guard);
                            Ok(())
                        })
                        .await,
                );
            }
        },
        async |(supervisor, drops)| {
            // Begun or not, its place is free in the end.
            sleep(ms(20)).await;
            if drops.count() != 1 {
                return Err(format!("{} of 1 dropped", drops.count()));
            }
            let background = supervisor.spawner();
            let third = background.spawn_when_free("third", async |_| Ok(()));
            match timeout(ms(100), third).await {
                Ok(Ok(())) => {
                    assert!(supervisor.shutdown(ms(10)).await.is_clean());
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 1);
}

#[test]
fn a_timer_is_needed_for_pauses_and_for_waiting_only() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..64 {
            let (supervisor, _told) = unbounded();
            supervisor.spawner().spawn("x", async |_| Ok(())).unwrap();
            tokio::task::yield_now().await;
            assert!(supervisor.shutdown(ms(10)).await.is_clean());
        }
    });
    let told = std::panic::catch_unwind(|| {
        runtime.block_on(async {
            let (supervisor, _told) = unbounded();
            supervisor.spawner().keep_up("x", Restart::Always(at_once(1)), async |_| Ok(()))
        })
    });
    assert!(told.is_err(), "where the mistake is, and not in the background");
}

#[test]
fn its_futures_can_be_spawned_and_its_handles_shared() {
    fn shared<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    fn sent<T: Send>(value: T) -> T {
        value
    }
    two_workers().block_on(async {
        let (supervisor, _told) = unbounded();
        let (supervisor, background) = (shared(supervisor), shared(supervisor_of_cells().spawner()));
        drop(sent(background.spawn_when_free("x", async |_| Ok(()))).await);
        assert!(sent(supervisor.shutdown(ms(1))).await.is_clean());
    });
}

/// An error that is `Send`, and not `Sync`, is enough.
fn supervisor_of_cells() -> Supervisor<std::cell::Cell<u32>> {
    Supervisor::unbounded(drop)
}

#[test]
fn under_any_schedule_a_shutdown_reports_each_task_once() {
    for seed in 0..100 {
        Simulation::new().seed(seed).run(async |sim| {
            let mut random = sim.random();
            let (supervisor, _told) = unbounded();
            let count = random.usize(1..12);
            for n in 0..count {
                let (time, end) = (random.u64(0..80), random.u32(0..4));
                supervisor
                    .spawner()
                    .keep_up(format!("{n}"), Restart::OnFailure(backoff(9, ms(1))), move |stop| async move {
                        tokio::select! {
                            () = stop.cancelled(), if end == 3 => Ok(()),
                            () = sleep(ms(20 + time)) => match end {
                                0 => Err("down"),
                                1 => panic!("bug"),
                                _ => pending().await,
                            },
                        }
                    })
                    .unwrap();
            }
            sleep(ms(random.u64(0..20))).await;
            let end = supervisor.shutdown(ms(random.u64(0..60))).await;
            let mut told = [end.finished, end.failed, end.panicked, end.aborted, end.stuck].concat();
            told.sort_by_key(|name| name.parse::<usize>().unwrap());
            assert_eq!(told, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
        });
    }
}
