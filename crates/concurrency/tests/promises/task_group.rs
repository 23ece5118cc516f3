//! What `task_group` promises.

use common::{Backend, Recorder, backend::CallEnd, backend::FetchError, backend::Outcome, clock::paused};
use concurrency::{
    Child, GroupClosed, GroupError, Stopped, TaskGroup,
    task_group::{self, Failure, Origin, task_group},
};
use futures_util::FutureExt as _;
use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use testing::{every_await, latencies, simulate, simulation::End, simulation::tasks_left};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Everything that can go wrong in these tests' bodies and children.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("error {0}")]
    Number(u32),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Closed(#[from] GroupClosed),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Counts what is alive: a guard lives as long as the future, or the closure, that holds it.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Guard(Arc<AtomicUsize>);

impl Alive {
    fn guard(&self) -> Guard {
        self.0.fetch_add(1, SeqCst);
        Guard(self.0.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A destructor that uses its group.
struct Closes(TaskGroup<Wrong>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// For what may hang a thread. Bounded in real time, too.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    end.recv_timeout(Duration::from_secs(10)).expect("the thread hangs, or it panicked")
}

fn two_workers() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("two threads can be had")
}

/// For blocking children. Bounded in real time: a group that never tells them is to fail its test, not to hang it.
fn until_cancelled(group: &TaskGroup<Wrong>) {
    let start = std::time::Instant::now();
    while !group.is_cancelled() {
        assert!(start.elapsed() < Duration::from_secs(10), "never told to stop");
        std::thread::yield_now();
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn child(index: usize, error: Wrong) -> Failure<Wrong> {
    Failure { origin: Origin::Child(index), error }
}

async fn panic_of<T>(group: impl Future<Output = T>) -> Box<dyn std::any::Any + Send> {
    match AssertUnwindSafe(group).catch_unwind().await {
        Ok(_) => panic!("the group did not panic"),
        Err(payload) => payload,
    }
}

#[test]
fn it_returns_when_the_last_child_has_ended_and_has_been_dropped() {
    paused(async {
        let alive = Alive::default();
        let start = Instant::now();
        let value = task_group(async |group| {
            for latency in [30, 70, 10] {
                let guard = alive.guard();
                group.spawn(async move {
                    sleep(ms(latency)).await;
                    drop(guard);
                    Ok(())
                })?;
            }
            Ok::<_, Wrong>("the body was done at once")
        })
        .await;
        // No yield before these: it has to be so on return.
        assert_eq!((alive.count(), tasks()), (0, 0));
        assert_eq!(start.elapsed(), ms(70));
        assert_eq!(value.unwrap(), "the body was done at once");
    });
}

#[test]
fn the_first_error_stops_siblings_and_body_and_they_are_gone_on_return() {
    for seed in 0..50 {
        paused(async {
            let latencies = latencies(seed, 7);
            let failing = (0..7).find(|n| latencies[*n] == ms(30)).unwrap();
            let recorder = Recorder::new("");
            let mut backend = Backend::new(&recorder);
            for (id, latency) in (0..).zip(&latencies) {
                let outcome = if id as usize == failing { Outcome::Fail } else { Outcome::Reply };
                backend = backend.on(id, *latency, outcome);
            }
            let alive = Alive::default();
            let start = Instant::now();
            let failed = task_group(async |group| {
                let _guard = alive.guard();
                for id in 0..7 {
                    let call = backend.fetch(id);
                    group.spawn(async move { Ok(call.await?) })?;
                }
                sleep(ms(500)).await;
                Ok::<_, Wrong>(())
            })
            .await
            .unwrap_err();
            assert_eq!((backend.in_flight(), tasks(), alive.count()), (0, 0, 0));
            assert_eq!(start.elapsed(), ms(30));
            let id = u32::try_from(failing).unwrap();
            assert_eq!(failed.first, child(failing, FetchError::Unavailable { id }.into()));
            assert_eq!((failed.rest.len(), failed.cancelled), (0, 4), "two had answered by then");
        });
    }
}

#[test]
fn after_a_failure_no_sibling_is_polled_again_even_if_it_was_awake() {
    paused(async {
        let backend =
            Backend::new(&Recorder::new("")).on(1, ms(20), Outcome::Fail).on(2, ms(20), Outcome::Fail);
        let failed = task_group::all([1, 2, 3], |id| backend.fetch(id)).await.unwrap_err();
        let ends: Vec<_> = backend.calls().iter().map(|call| call.ended.unwrap()).collect();
        assert_eq!(ends[1], (ms(20), CallEnd::Dropped), "it was due in the same instant");
        assert_eq!((failed.rest.len(), failed.cancelled), (0, 1));
    });
}

#[test]
fn a_body_that_waits_for_a_child_that_fails_gets_no_further() {
    let run = simulate("", async |_| {
        let reached = Arc::new(AtomicUsize::new(0));
        let failed = task_group(async |group| {
            let lookup = group.spawn(async {
                sleep(ms(10)).await;
                Err::<(), _>(Wrong::Number(1))
            })?;
            let got = lookup.await;
            reached.fetch_add(1, SeqCst);
            Ok(got?)
        })
        .await
        .unwrap_err();
        (reached.load(SeqCst), failed.first, failed.rest)
    });
    assert_eq!(run.end, End::Returned((0, child(0, Wrong::Number(1)), Vec::new())));
}

#[test]
fn a_body_in_the_middle_of_a_poll_is_stopped_at_its_next_await_and_hears_no_echo() {
    // Of a child that fails, of one that panics, of one that is aborted for that.
    for scenario in 0..3 {
        let reached = AtomicUsize::new(0);
        let group = task_group(async |group: TaskGroup<Wrong>| {
            let sibling = group.spawn(pending::<Result<(), Wrong>>())?;
            let failing = group.spawn(async move {
                if scenario == 1 {
                    resume_unwind(Box::new(7_u32));
                }
                Err::<(), _>(Wrong::Number(1))
            })?;
            // The signal to stop has been looked at in this poll, and comes too late for it.
            until_cancelled(&group);
            let start = std::time::Instant::now();
            while tasks() > 0 {
                assert!(start.elapsed() < Duration::from_secs(10), "the children are still there");
                std::thread::yield_now();
            }
            let got = if scenario == 2 { sibling.await } else { failing.await };
            reached.fetch_add(1, SeqCst);
            Ok(got?)
        });
        match two_workers().block_on(AssertUnwindSafe(group).catch_unwind()) {
            Ok(result) => {
                let failed = result.unwrap_err();
                assert_eq!((failed.first, failed.rest), (child(1, Wrong::Number(1)), Vec::new()));
            }
            Err(payload) => assert_eq!(*payload.downcast::<u32>().unwrap(), 7),
        }
        assert_eq!(reached.load(SeqCst), 0, "scenario {scenario}");
    }
}

#[test]
fn on_several_threads_no_body_hears_an_echo_either() {
    two_workers().block_on(async {
        let start = std::time::Instant::now();
        let mut round = 0;
        while round < 5000 && start.elapsed() < ms(300) {
            round += 1;
            let failed = task_group(async |group| {
                let failing = group.spawn(async move {
                    (0..round % 50).for_each(|_| std::hint::spin_loop());
                    Err::<(), _>(Wrong::Number(1))
                })?;
                (0..round % 37 * 3).for_each(|_| std::hint::spin_loop());
                Ok(failing.await?)
            })
            .await
            .unwrap_err();
            assert_eq!(
                (failed.first, failed.rest),
                (child(0, Wrong::Number(1)), Vec::new()),
                "round {round}"
            );
        }
    });
}

#[test]
fn when_a_failed_group_has_returned_or_was_dropped_its_handles_say_stopped() {
    paused(async {
        let mut kept = Vec::new();
        task_group(async |group| {
            kept.push(group.spawn(pending::<Result<(), Wrong>>())?);
            kept.push(group.spawn(async { Err(Wrong::Number(1)) })?);
            kept.push(group.spawn(pending())?);
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        for handle in kept {
            assert_eq!(handle.now_or_never(), Some(Err(Stopped)));
        }

        let mut kept = None;
        let dropped = task_group(async |group| {
            kept = Some(group.spawn(pending::<Result<(), Wrong>>())?);
            pending::<Result<(), Wrong>>().await
        });
        timeout(ms(10), dropped).await.unwrap_err();
        assert_eq!(kept.unwrap().await, Err(Stopped));
    });
}

#[test]
fn every_error_is_kept_with_its_origin_and_the_first_in_time_is_first() {
    // What runs on a thread can't be aborted: so three can fail in one group, the body among them.
    paused(async {
        let failed = task_group(async |group| {
            let mut begun = Vec::new();
            for n in [1, 2] {
                let (watched, (begin, begins)) = (group.clone(), tokio::sync::oneshot::channel());
                begun.push(begins);
                group.spawn_blocking(move || {
                    begin.send(()).unwrap();
                    until_cancelled(&watched);
                    Err::<(), _>(Wrong::Number(n))
                })?;
            }
            for begins in begun {
                begins.await.unwrap();
            }
            Err::<(), _>(Wrong::Number(3))
        })
        .await
        .unwrap_err();
        assert_eq!(failed.first, Failure { origin: Origin::Body, error: Wrong::Number(3) });
        let mut rest = failed.rest;
        rest.sort_by_key(|failure| failure.origin != Origin::Child(0));
        assert_eq!(rest, [child(0, Wrong::Number(1)), child(1, Wrong::Number(2))]);
        assert_eq!(failed.cancelled, 0);
    });
}

#[test]
fn the_error_says_who_failed_and_leads_to_the_cause() {
    use std::error::Error as _;
    let failed = GroupError {
        first: child(2, Wrong::Number(7)),
        rest: vec![Failure { origin: Origin::Body, error: Wrong::Number(8) }],
        cancelled: 3,
    };
    assert_eq!(failed.to_string(), "child 2 failed, 1 more failed, 3 cancelled");
    assert_eq!(failed.source().unwrap().downcast_ref(), Some(&Wrong::Number(7)));
    assert_eq!(failed.rest[0].source().unwrap().to_string(), "error 8");
    assert_eq!(failed.rest[0].to_string(), "the body failed");
}

#[test]
fn a_panic_of_a_child_goes_on_in_the_parent_with_its_payload_when_the_siblings_have_gone() {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    type Scenario = fn(&TaskGroup<Wrong>) -> Result<Child<()>, GroupClosed>;
    let scenarios: [Scenario; 3] = [
        |group| {
            group.spawn(async {
                sleep(ms(20)).await;
                resume_unwind(Box::new(Payload(7)))
            })
        },
        |group| group.spawn(async { resume_unwind(Box::new(Payload(7))) }),
        |group| group.spawn_blocking(|| resume_unwind(Box::new(Payload(7)))),
    ];
    for scenario in scenarios {
        paused(async {
            let alive = Alive::default();
            let payload = panic_of(task_group(async |group| {
                let _body = alive.guard();
                let guard = alive.guard();
                group.spawn(async move {
                    let _guard = guard;
                    sleep(ms(500)).await;
                    Ok(())
                })?;
                scenario(&group)?;
                pending::<Result<(), Wrong>>().await
            }))
            .await;
            assert_eq!((alive.count(), tasks()), (0, 0));
            assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload(7));
        });
    }
}

#[test]
fn a_panic_of_the_body_waits_for_the_children_to_be_gone() {
    paused(async {
        let alive = Alive::default();
        let payload = panic_of(task_group(async |group| {
            let guard = alive.guard();
            group.spawn(async move {
                let _guard = guard;
                pending::<Result<(), Wrong>>().await
            })?;
            sleep(ms(10)).await;
            resume_unwind(Box::new(7_u32));
            #[expect(unreachable_code, reason = "it names the type of the body's value")]
            Ok::<(), Wrong>(())
        }))
        .await;
        assert_eq!((alive.count(), tasks()), (0, 0));
        assert_eq!(*payload.downcast::<u32>().unwrap(), 7);

        let before_a_future =
            |_: TaskGroup<Wrong>| -> std::future::Ready<Result<(), Wrong>> { resume_unwind(Box::new(8_u32)) };
        assert_eq!(*panic_of(task_group(before_a_future)).await.downcast::<u32>().unwrap(), 8);
    });
}

/// Panics when it is dropped, in the way of a test: without a word on the terminal.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(self.0));
        }
    }
}

#[test]
fn a_panic_of_a_destructor_is_not_swallowed_and_waits_for_the_others() {
    // Of a child that returned, of one that was aborted, of a body that was stopped: each beside a slow sibling.
    for scenario in 0..3 {
        paused(async {
            let alive = Alive::default();
            let payload = panic_of(task_group(async |group| {
                let guard = alive.guard();
                group.spawn(async move {
                    let _guard = guard;
                    pending::<Result<(), Wrong>>().await
                })?;
                let bomb = Bomb(scenario);
                match scenario {
                    // An async block is empty when it ends; this one still holds the bomb.
                    0 => drop(group.spawn(poll_fn(move |_| {
                        let Bomb(_) = &bomb;
                        Poll::Ready(Ok(()))
                    }))?),
                    1 => {
                        group.spawn(async move {
                            let _bomb = bomb;
                            pending::<Result<(), Wrong>>().await
                        })?;
                        group.spawn(async {
                            sleep(ms(5)).await;
                            Err::<(), _>(Wrong::Number(1))
                        })?;
                    }
                    _ => {
                        group.spawn(async {
                            sleep(ms(5)).await;
                            Err::<(), _>(Wrong::Number(1))
                        })?;
                        let _bomb = bomb;
                        pending::<()>().await;
                    }
                }
                pending::<Result<(), Wrong>>().await
            }))
            .await;
            assert_eq!((alive.count(), tasks()), (0, 0));
            assert_eq!(*payload.downcast::<u32>().unwrap(), scenario);
        });
    }
}

#[test]
fn values_come_by_handle_inside_the_body_and_after_the_group() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(1, ms(30), Outcome::Reply);
        let (sum, late) = task_group(async |group| {
            let slow = group.spawn(backend.fetch(1)).unwrap();
            let quick = group.spawn(backend.fetch(2)).unwrap();
            let late = group.spawn(backend.fetch(3)).unwrap();
            // A handle that is dropped loses a value, and stops nothing.
            drop(group.spawn(backend.fetch(4)).unwrap());
            Ok::<_, FetchError>((slow.await.unwrap().id + quick.await.unwrap().id, late))
        })
        .await
        .unwrap();
        assert!(backend.calls().iter().all(|call| call.ended.unwrap().1 == CallEnd::Replied));
        (sum, late.await.unwrap().id)
    });
    assert_eq!(run.end, End::Returned((3, 3)));
    assert_eq!(run.elapsed, ms(30));
}

#[test]
fn the_body_runs_in_the_callers_task_and_may_borrow() {
    paused(async {
        let mut log = Vec::new();
        let caller = tokio::task::try_id();
        task_group(async |group| {
            log.push(tokio::task::try_id());
            log.push(group.spawn(async { Ok::<_, Wrong>(tokio::task::try_id()) })?.await?);
            Ok::<_, Wrong>(())
        })
        .await
        .unwrap();
        assert_eq!(log[0], caller);
        assert_ne!(log[1], caller);
    });
}

#[test]
fn children_may_spawn_siblings_also_when_the_body_has_ended() {
    fn tree(group: &TaskGroup<Wrong>, depth: u32, leaves: Arc<AtomicUsize>) -> Result<(), GroupClosed> {
        let handle = group.clone();
        drop(group.spawn(async move {
            sleep(ms(10)).await;
            if depth == 0 {
                leaves.fetch_add(1, SeqCst);
            } else {
                tree(&handle, depth - 1, leaves.clone())?;
                tree(&handle, depth - 1, leaves)?;
            }
            Ok(())
        })?);
        Ok(())
    }
    let run = simulate("", async |_| {
        let leaves = Arc::new(AtomicUsize::new(0));
        task_group(async |group| Ok::<_, Wrong>(tree(&group, 5, leaves.clone())?)).await.unwrap();
        (leaves.load(SeqCst), tasks())
    });
    assert_eq!(run.end, End::Returned((32, 0)));
    assert_eq!(run.elapsed, ms(60));
}

#[test]
fn a_sibling_that_is_spawned_from_elsewhere_while_the_body_waits_is_heard_when_it_fails() {
    // The set of children is empty when the body begins to wait: nobody may rely on a waker that the set keeps.
    let run = simulate("", async |_| {
        let (give, take) = tokio::sync::oneshot::channel::<TaskGroup<Wrong>>();
        let outsider = async {
            let group = take.await.unwrap();
            sleep(ms(10)).await;
            drop(group.spawn(async { Err::<(), _>(Wrong::Number(1)) }).unwrap());
        };
        let group = task_group(async |group| {
            give.send(group).unwrap();
            pending::<Result<(), Wrong>>().await
        });
        tokio::join!(group, outsider).0.unwrap_err().first
    });
    assert_eq!(run.end, End::Returned(child(0, Wrong::Number(1))));
    assert_eq!(run.elapsed, ms(10));
}

#[test]
fn a_closed_a_failed_a_finished_and_a_dropped_group_refuse_and_drop_what_they_are_given() {
    fn refused(group: &TaskGroup<Wrong>) {
        let alive = Alive::default();
        let guard = alive.guard();
        let spawned = group.spawn(async move {
            let _guard = guard;
            panic!("polled")
        });
        assert!(matches!(spawned, Err::<Child<()>, _>(GroupClosed)));
        let guard = alive.guard();
        let spawned = group.spawn_blocking(move || {
            let _guard = guard;
            panic!("called")
        });
        assert!(matches!(spawned, Err::<Child<()>, _>(GroupClosed)));
        assert_eq!(alive.count(), 0, "the future is dropped, not kept");
    }
    paused(async {
        let finished = task_group(async |group| {
            let there = group.spawn(async {
                sleep(ms(10)).await;
                Ok(())
            })?;
            group.close();
            refused(&group);
            there.await?;
            refused(&group);
            Ok::<_, Wrong>(group)
        })
        .await
        .unwrap();
        refused(&finished);

        let mut kept = None;
        task_group(async |group| {
            kept = Some(group.clone());
            let late = group.clone();
            group.spawn(async { Err::<(), _>(Wrong::Number(1)) })?;
            group.spawn_blocking(move || {
                until_cancelled(&late);
                refused(&late);
                Ok(())
            })?;
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        refused(&kept.take().unwrap());

        let dropped = task_group(async |group| {
            kept = Some(group);
            pending::<Result<(), Wrong>>().await
        });
        timeout(ms(10), dropped).await.unwrap_err();
        refused(&kept.unwrap());
    });
}

#[test]
fn outside_a_runtime_it_panics_and_a_destructor_may_use_the_group() {
    fn outside(group: &TaskGroup<Wrong>, blocking: bool) {
        let closes = Closes(group.clone());
        if blocking {
            drop(group.spawn_blocking(move || {
                let _closes = closes;
                Ok(())
            }));
        } else {
            drop(group.spawn(async move {
                let _closes = closes;
                Ok(())
            }));
        }
    }
    for blocking in [false, true] {
        let (panicked, group) = on_a_thread(move || {
            paused(task_group(async |group: TaskGroup<Wrong>| {
                let handle = group.clone();
                let panicked = std::thread::spawn(move || outside(&handle, blocking)).join().is_err();
                Ok::<_, Wrong>((panicked, format!("{group:?}")))
            }))
            .unwrap()
        });
        assert!(panicked, "blocking: {blocking}");
        assert_eq!(group, "TaskGroup { children: 0, open: false }");
    }
}

#[test]
fn on_a_runtime_that_was_shut_down_a_destructor_may_use_the_group() {
    for blocking in [false, true] {
        let (got, alive) = on_a_thread(move || {
            let runtime = two_workers();
            let handle = runtime.handle().clone();
            runtime.shutdown_timeout(Duration::from_secs(10));
            let alive = Alive::default();
            let guard = alive.guard();
            let got = handle.block_on(task_group(async |group: TaskGroup<Wrong>| {
                let closes = Closes(group.clone());
                let child = if blocking {
                    group.spawn_blocking(move || {
                        let _held = (closes, guard);
                        Ok(())
                    })?
                } else {
                    group.spawn(async move {
                        let _held = (closes, guard);
                        Ok(())
                    })?
                };
                Ok(child.await)
            }));
            (got.unwrap(), alive.count())
        });
        assert_eq!((got, alive), (Err(Stopped), 0), "blocking: {blocking}");
    }
}

#[test]
fn a_child_that_was_let_in_at_the_last_moment_is_waited_for() {
    two_workers().block_on(async {
        let start = std::time::Instant::now();
        while start.elapsed() < ms(300) {
            let (give, take) = std::sync::mpsc::channel::<TaskGroup<Wrong>>();
            let outsider = tokio::task::spawn_blocking(move || {
                let group = take.recv().unwrap();
                std::iter::from_fn(|| group.spawn(async { Ok(()) }).ok()).take(1000).collect::<Vec<_>>()
            });
            task_group(async |group| {
                give.send(group).unwrap();
                Ok(())
            })
            .await
            .unwrap();
            for child in outsider.await.unwrap() {
                assert_eq!(child.await, Ok(()), "it was let in, and then stopped");
            }
        }
    });
}

#[test]
fn blocking_children_are_waited_for_and_told_to_stop() {
    paused(async {
        let alive = Alive::default();
        let (begun, begin) = tokio::sync::oneshot::channel();
        let failed = task_group(async |group| {
            let (guard, watched) = (alive.guard(), group.clone());
            group.spawn_blocking(move || {
                let _guard = guard;
                begun.send(()).unwrap();
                until_cancelled(&watched);
                // Long enough for a group that does not wait to be gone.
                (0..1000).for_each(|_| std::thread::yield_now());
                Ok(())
            })?;
            begin.await.unwrap();
            Err::<(), _>(Wrong::Number(1))
        })
        .await
        .unwrap_err();
        assert_eq!(alive.count(), 0);
        assert_eq!(failed.cancelled, 0, "it came to its own end");
    });
}

#[test]
fn a_blocking_child_learns_that_its_group_was_dropped() {
    paused(async {
        let (ended, end) = tokio::sync::oneshot::channel();
        let (begun, begin) = tokio::sync::oneshot::channel();
        let group = task_group(async |group| {
            let watched = group.clone();
            group.spawn_blocking(move || {
                begun.send(()).unwrap();
                until_cancelled(&watched);
                ended.send(()).unwrap();
                Ok(())
            })?;
            pending::<Result<(), Wrong>>().await
        });
        tokio::select! {
            _ = group => unreachable!("it waits for ever"),
            begun = begin => begun.unwrap(),
        }
        end.await.unwrap();
    });
}

#[test]
fn a_child_that_was_aborted_alone_has_not_failed_and_its_handle_says_so() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(2, ms(50), Outcome::Reply);
        let (aborted, other) = task_group(async |group| {
            let aborted = group.spawn(backend.fetch(1)).unwrap();
            let other = group.spawn(backend.fetch(2)).unwrap();
            sleep(ms(5)).await;
            aborted.abort();
            Ok::<_, FetchError>((aborted.await, other))
        })
        .await
        .unwrap();
        (aborted, other.await.map(|reply| reply.id))
    });
    assert_eq!(run.end, End::Returned((Err(Stopped), Ok(2))));

    paused(async {
        let failed = task_group(async |group| {
            group.spawn(pending::<Result<(), Wrong>>())?.abort();
            group.spawn(pending::<Result<(), Wrong>>())?;
            sleep(ms(5)).await;
            // This spawn is what notices that the first child has gone.
            group.spawn(async { Err::<(), _>(Wrong::Number(1)) })?;
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(failed.cancelled, 1, "one was cancelled for the failure, the other was not");
        assert_eq!(failed.first.origin, Origin::Child(2), "numbers are not given twice");
    });
    for rest in [0, 5] {
        paused(async {
            let failed = task_group(async |group| {
                group.spawn(pending::<Result<(), Wrong>>())?.abort();
                group.spawn(pending::<Result<(), Wrong>>())?;
                // Without a rest it fails before anybody can have noticed that the first child has gone.
                if rest > 0 {
                    sleep(ms(rest)).await;
                }
                Err::<(), _>(Wrong::Number(1))
            })
            .await
            .unwrap_err();
            assert_eq!(failed.cancelled, 1, "after {rest} ms");
        });
    }
}

/// A handle as some like it.
struct AbortOnDrop(Child<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[test]
fn a_child_that_is_aborted_again_when_the_group_has_failed_counts_as_cancelled() {
    paused(async {
        let failed = task_group::with_grace(ms(10), async |group| {
            let _sibling = AbortOnDrop(group.spawn(pending::<Result<(), Wrong>>())?);
            group.spawn(async { Err::<(), _>(Wrong::Number(1)) })?;
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(failed.cancelled, 1);
    });
}

#[test]
fn children_that_have_ended_take_no_room() {
    paused(async {
        task_group(async |group| {
            for _ in 0..1000 {
                group.spawn(async { Ok::<_, Wrong>(()) })?.await?;
            }
            assert_eq!(format!("{group:?}"), "TaskGroup { children: 1, open: true }");
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn with_grace_children_may_finish_what_they_hold_and_overdue_ones_are_aborted() {
    let went_on = AtomicBool::new(false);
    let run = simulate("", async |_| {
        let alive = Alive::default();
        let start = Instant::now();
        let failed = task_group::with_grace(ms(100), async |group| {
            let _body = alive.guard();
            for (cleaning, error) in [(30, None), (60, Some(2)), (500, None)] {
                let (guard, stop) = (alive.guard(), group.cancelled());
                group.spawn(async move {
                    let _guard = guard;
                    stop.await;
                    sleep(ms(cleaning)).await;
                    error.map_or(Ok(()), |n| Err(Wrong::Number(n)))
                })?;
            }
            let (late, stop) = (group.clone(), group.cancelled());
            group.spawn(async move {
                stop.await;
                assert!(late.is_cancelled() && late.spawn(async { Ok(()) }).is_err());
                Ok(())
            })?;
            assert!(!group.is_cancelled());
            group.spawn(async {
                sleep(ms(20)).await;
                Err::<(), _>(Wrong::Number(1))
            })?;
            group.cancelled().await;
            went_on.store(true, SeqCst);
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!((alive.count(), tasks()), (0, 0));
        (start.elapsed(), failed.first, failed.rest, failed.cancelled)
    });
    let rest = vec![child(1, Wrong::Number(2))];
    assert_eq!(run.end, End::Returned((ms(120), child(4, Wrong::Number(1)), rest, 1)));
    assert!(!went_on.into_inner(), "the body is stopped at once, and has no grace");
}

#[test]
fn with_grace_it_returns_as_soon_as_the_last_child_has_ended() {
    let run = simulate("", async |_| {
        task_group::with_grace(Duration::from_secs(30), async |group| {
            let stop = group.cancelled();
            group.spawn(async move {
                stop.await;
                sleep(ms(10)).await;
                Ok(())
            })?;
            Err::<(), _>(Wrong::Number(1))
        })
        .await
        .unwrap_err()
        .cancelled
    });
    assert_eq!((run.end, run.elapsed), (End::Returned(0), ms(10)));
}

#[test]
fn with_grace_a_child_does_not_wait_for_a_sibling_that_failed() {
    // While the body waits, too, and when it has ended.
    for ended in [false, true] {
        let run = simulate("", async |_| {
            let failed = task_group::with_grace(Duration::from_secs(30), async |group| {
                let failing = group.spawn(async {
                    sleep(ms(10)).await;
                    Err::<(), _>(Wrong::Number(1))
                })?;
                group.spawn(async { Ok(failing.await?) })?;
                if ended { Ok(()) } else { pending().await }
            })
            .await
            .unwrap_err();
            (failed.first, failed.rest, failed.cancelled)
        });
        let rest = vec![child(1, Wrong::Stopped(Stopped))];
        assert_eq!(run.end, End::Returned((child(0, Wrong::Number(1)), rest, 0)));
        assert_eq!(run.elapsed, ms(10));
    }
}

#[test]
fn a_blocking_child_does_not_wait_for_a_sibling_that_failed() {
    let got = on_a_thread(|| {
        two_workers().block_on(async {
            let (tell, told) = std::sync::mpsc::channel();
            let failed = task_group(async |group| {
                let (begun, begin) = tokio::sync::oneshot::channel();
                let failing = group.spawn(async {
                    begin.await.unwrap();
                    Err::<(), _>(Wrong::Number(1))
                })?;
                group.spawn_blocking(move || {
                    begun.send(()).unwrap();
                    tell.send(Handle::current().block_on(failing)).unwrap();
                    Ok(())
                })?;
                pending::<Result<(), Wrong>>().await
            })
            .await
            .unwrap_err();
            assert_eq!(failed.failures().count(), 1);
            told.try_recv()
        })
    });
    assert_eq!(got, Ok(Err(Stopped)));
}

#[test]
fn with_several_panics_the_first_is_resumed_and_errors_are_lost() {
    paused(async {
        let payload = panic_of(task_group::with_grace(ms(100), async |group| {
            group.spawn(async { Err::<(), _>(Wrong::Number(1)) })?;
            for late in [30, 20] {
                let stop = group.cancelled();
                group.spawn(async move {
                    stop.await;
                    sleep(ms(late)).await;
                    resume_unwind(Box::new(late));
                    #[expect(unreachable_code, reason = "it names the type of the child's value")]
                    Ok(())
                })?;
            }
            pending::<Result<(), Wrong>>().await
        }))
        .await;
        assert_eq!(*payload.downcast::<u64>().unwrap(), 20);
    });
}

#[test]
fn with_grace_it_needs_a_timer_only_if_somebody_is_left() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // Many times, for a group that leaves it to chance.
        for _ in 0..64 {
            let failed = task_group::with_grace(ms(10), async |group| {
                group.spawn(async { Ok(()) })?.await?;
                Err::<(), _>(Wrong::Number(1))
            });
            assert_eq!(failed.await.unwrap_err().first.origin, Origin::Body);
        }
    });
}

#[test]
fn a_group_in_a_group_is_a_child_like_any_other() {
    let run = simulate("", async |recorder| {
        let backend = Backend::new(&recorder).on(2, ms(20), Outcome::Fail).latency(ms(500));
        let inner = backend.clone();
        let failed = task_group(async |group| {
            let nested = async move { task_group::all([1, 2], |id| inner.fetch(id)).await };
            group.spawn(nested).unwrap();
            let outer = backend.fetch(3);
            group.spawn(async { Ok(outer.await.unwrap()) }).unwrap();
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(backend.in_flight(), 0);
        (failed.first.origin, failed.first.error.first.origin, failed.cancelled)
    });
    assert_eq!(run.end, End::Returned((Origin::Child(0), Origin::Child(1), 1)));
    assert_eq!(run.elapsed, ms(20));
}

#[test]
fn all_gives_values_in_the_order_of_the_items_and_keeps_duplicates() {
    for seed in 0..50 {
        paused(async {
            let latencies = latencies(seed, 6);
            let mut backend = Backend::new(&Recorder::new(""));
            for (id, latency) in (0..).zip(&latencies) {
                backend = backend.on(id, *latency, Outcome::Reply);
            }
            let start = Instant::now();
            let replies = task_group::all([5, 0, 3, 0, 1, 2, 4], |id| backend.fetch(id)).await.unwrap();
            let ids: Vec<u32> = replies.iter().map(|reply| reply.id).collect();
            assert_eq!(ids, [5, 0, 3, 0, 1, 2, 4]);
            assert_eq!((backend.peak(), start.elapsed()), (7, ms(60)), "all at once");
        });
    }
    paused(async {
        assert!(task_group::all([], |id: u32| async move { Ok::<_, Wrong>(id) }).await.unwrap().is_empty());
    });
}

async fn nothing_left(backend: Backend) -> Result<(), String> {
    match backend.in_flight() {
        0 => Ok(()),
        n => Err(format!("{n} calls in flight")),
    }
}

#[test]
fn dropped_at_any_await_it_leaves_no_task_and_no_call_behind() {
    fn backend() -> Backend {
        Backend::new(&Recorder::new("")).on(2, ms(70), Outcome::Fail).on(4, ms(300), Outcome::Reply)
    }
    // Each child holds the handle of its group: a handle that kept the group alive would keep the children alive.
    async fn family(group: TaskGroup<Wrong>, backend: Backend) -> Result<(), Wrong> {
        for id in 0..5 {
            let (handle, backend) = (group.clone(), backend.clone());
            group.spawn(async move {
                backend.fetch(id).await?;
                let call = backend.fetch(4);
                handle.spawn(async move { Ok(call.await?) })?;
                Ok(())
            })?;
        }
        sleep(ms(5)).await;
        group.spawn(async { Ok(()) })?.await?;
        Ok(())
    }
    let awaits = every_await(
        backend,
        |backend| {
            let backend = backend.clone();
            async move { drop(task_group(|group| family(group, backend)).await) }
        },
        nothing_left,
    );
    assert!(awaits.unwrap() >= 4);
    let awaits = every_await(
        backend,
        |backend| {
            let backend = backend.clone();
            async move { drop(task_group::with_grace(ms(50), |group| family(group, backend)).await) }
        },
        nothing_left,
    );
    assert!(awaits.unwrap() >= 4);
    let awaits = every_await(
        backend,
        |backend| {
            let backend = backend.clone();
            async move { drop(task_group::all(0..5, |id| backend.fetch(id)).await) }
        },
        nothing_left,
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn a_child_handle_or_a_wait_for_cancellation_can_be_dropped_without_a_loss() {
    paused(async {
        let value = task_group(async |group| {
            let mut child = group.spawn(async {
                sleep(ms(30)).await;
                Ok::<_, Wrong>(7)
            })?;
            timeout(ms(10), &mut child).await.unwrap_err();
            timeout(ms(10), group.cancelled()).await.unwrap_err();
            Ok(child.await?)
        })
        .await;
        assert_eq!(value.unwrap(), 7);
        assert_eq!(tasks_left().await, 0);
    });
}

#[test]
fn it_can_be_spawned_and_holds_on_several_threads() {
    two_workers().block_on(async {
        for round in 0..300_usize {
            let alive = Alive::default();
            let counted = alive.clone();
            let group = task_group::task_group(move |group: TaskGroup<Wrong>| async move {
                for n in 0..8 {
                    let (guard, handle, counted) = (counted.guard(), group.clone(), counted.clone());
                    group.spawn(async move {
                        let _guard = guard;
                        for _ in 0..(n * 7 + round) % 5 {
                            tokio::task::yield_now().await;
                        }
                        let guard = counted.guard();
                        handle.spawn(async move {
                            let _guard = guard;
                            tokio::task::yield_now().await;
                            Ok(())
                        })?;
                        if n == round % 11 { Err(Wrong::Number(1)) } else { Ok(()) }
                    })?;
                }
                Ok(())
            });
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move {
                let result = group.await;
                (result, alive.count())
            });
            let (result, left) = tasks.join_next().await.unwrap().unwrap();
            assert_eq!(left, 0, "alive on return");
            assert_eq!(result.is_err(), round % 11 < 8);
            if let Err(failed) = result {
                // A sibling whose own spawn came after the failure has an error of its own to tell.
                let known =
                    |failure: &Failure<Wrong>| matches!(failure.error, Wrong::Number(1) | Wrong::Closed(_));
                assert!(failed.failures().all(known), "{failed:?}");
                assert!(failed.failures().any(|failure| failure.error == Wrong::Number(1)), "{failed:?}");
            }
        }
    });
}
