//! What `join` promises, and what `tokio::join!` does and does not.

use common::{
    Backend, Recorder,
    backend::{CallEnd, FetchError, Outcome, Reply},
    clock::{paused, spend},
};
use concurrency::{
    Settled,
    join::{self, BranchError, JoinErrors},
};
use futures_util::FutureExt as _;
use std::{
    cell::Cell,
    collections::HashSet,
    error::Error,
    panic::{AssertUnwindSafe, resume_unwind},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    thread::{self, ThreadId},
    time::Duration,
};
use testing::{every_await, latencies, latencies::shuffled, sim};
use tokio::{
    runtime::Handle,
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn backend() -> Backend {
    Backend::new(&Recorder::new(""))
}

fn failed(errors: &JoinErrors<FetchError>) -> Vec<(usize, String)> {
    errors.failures().map(|failure| (failure.branch, failure.error.to_string())).collect()
}

#[test]
fn it_takes_as_long_as_the_slowest_and_all_are_in_flight() {
    for seed in 0..60 {
        sim(async move |_| {
            let latencies = latencies(seed, 4);
            let mut backend = backend().meeting_of(4);
            for (id, latency) in (0..).zip(&latencies) {
                backend = backend.on(id, *latency, Outcome::Reply);
            }
            let start = Instant::now();
            let all = (backend.fetch(0), backend.fetch(1), backend.fetch(2), backend.fetch(3));
            let (a, b, c, d) = join::all(all).await.expect("all reply");
            assert_eq!([a.id, b.id, c.id, d.id], [0, 1, 2, 3], "in the order in which they were written");
            assert_eq!(start.elapsed(), latencies.into_iter().max().expect("four"));
            let order: Vec<u32> = backend.calls().iter().map(|call| call.id).collect();
            assert_eq!(order, [0, 1, 2, 3], "begun in that order, too");
        });
    }
}

/// What `all` and `settle` give for a tuple of this many, each of a type of its own, in any order of completion.
macro_rules! of_each_size {
    ($($count:literal: [$($branch:tt)+];)+) => {
        $(
            for seed in 0..20 {
                let delays = shuffled(seed, $count);
                let after = |n: usize| sleep(ms(u64::from(delays[n]) * 10));
                let values = join::all(($(async { after($branch).await; Ok::<_, ()>([(); $branch]) },)+)).await;
                assert_eq!(values.expect("none fails"), ($([(); $branch],)+));
                let settled = join::settle(($(async { after($branch).await; Err::<(), _>([(); $branch]) },)+)).await;
                $(assert!(matches!(settled.$branch, Settled::Failed(error) if error == [(); $branch]));)+
                let errors = join::all(($(async { after($branch).await; Err::<(), usize>($branch) },)+)).await;
                let errors = errors.expect_err("all fail");
                assert_eq!(errors.branches, $count);
                let branches: Vec<usize> = errors.failures().map(|failure| failure.branch).collect();
                assert_eq!(branches, [$($branch),+]);
            }
        )+
    };
}

#[test]
fn two_to_eight_branches_of_different_types_keep_their_places() {
    paused(async {
        of_each_size! {
            2: [0 1];
            3: [0 1 2];
            4: [0 1 2 3];
            5: [0 1 2 3 4];
            6: [0 1 2 3 4 5];
            7: [0 1 2 3 4 5 6];
            8: [0 1 2 3 4 5 6 7];
        }
    });
}

#[test]
fn branches_may_borrow_and_need_not_be_send() {
    paused(async {
        let name = String::from("Ada");
        let log = Rc::new(Cell::new(0));
        let nap = async |n: i32| {
            sleep(ms(10)).await;
            log.set(log.get() + n);
            Ok::<_, ()>(&name)
        };
        let (a, b) = join::all((nap(1), nap(2))).await.expect("none fails");
        assert_eq!((a.as_str(), b.as_str(), log.get()), ("Ada", "Ada", 3));
    });
}

#[test]
fn every_branch_is_brought_to_its_end_when_others_fail() {
    for seed in 0..40 {
        sim(async move |_| {
            let when = latencies(seed, 4);
            let backend = backend()
                .on(0, when[0], Outcome::Reply)
                .on(1, when[1], Outcome::TimeOut)
                .on(2, when[2], Outcome::Reply)
                .on(3, when[3], Outcome::Fail);
            // Each writes twice: a branch that is cut off after its first call is seen.
            let twice = async |id| {
                let reply = backend.fetch(id).await;
                backend.fetch(10).await?;
                reply
            };
            let errors = join::all((twice(0), twice(1), twice(2), twice(3))).await.expect_err("two fail");
            let expected = [
                (1, String::from("the backend timed out on item 1")),
                (3, String::from("item 3 is unavailable")),
            ];
            assert_eq!(failed(&errors), expected, "every error, in the order of the branches");
            assert_eq!(backend.calls().len(), 8);
            assert!(
                backend
                    .calls()
                    .iter()
                    .all(|call| matches!(call.ended, Some((_, CallEnd::Replied | CallEnd::Failed))))
            );
            assert_eq!(backend.in_flight(), 0);
        });
    }
}

#[test]
fn a_panic_costs_no_other_branch_its_work_or_its_result() {
    sim(async |_| {
        let backend = backend().on(1, ms(5), Outcome::Panic).on(2, ms(7), Outcome::Fail);
        let before_its_first_await = async {
            if backend.in_flight() < 100 {
                resume_unwind(Box::new("no await yet"));
            }
            Ok::<Reply, FetchError>(Reply { id: 9, body: String::new() })
        };
        let all = (backend.fetch(0), backend.fetch(1), backend.fetch(2), before_its_first_await);
        let settled = join::settle(all).await;
        let (Settled::Ok(reply), Settled::Panicked(panic), Settled::Failed(error), Settled::Panicked(early)) =
            settled
        else {
            panic!("{settled:?}");
        };
        assert_eq!((reply.id, error), (0, FetchError::Unavailable { id: 2 }));
        assert_eq!((panic.message(), early.message()), ("item 1 is cursed", "no await yet"));
    });
}

#[test]
fn a_panic_is_an_error_among_the_others_and_can_go_on_in_the_caller() {
    sim(async |_| {
        let backend = backend().on(0, ms(30), Outcome::Panic).on(1, ms(5), Outcome::Fail);
        let errors = join::all((backend.fetch(0), backend.fetch(1), backend.fetch(2))).await;
        let errors = errors.expect_err("one panics, one fails");
        let expected =
            [(0, String::from("a panic: item 0 is cursed")), (1, String::from("item 1 is unavailable"))];
        assert_eq!(failed(&errors), expected);
        let BranchError::Panicked(panic) = errors.first.error else { panic!("{errors:?}") };
        let resumed = std::panic::catch_unwind(AssertUnwindSafe(|| panic.resume())).expect_err("a panic");
        assert_eq!(resumed.downcast_ref::<String>().map(String::as_str), Some("item 0 is cursed"));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("boom"));
    }
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_branch_is_its_panic() {
    sim(async |_| {
        let backend = backend();
        // It lives in the future, not in its body: it goes when the future goes, after its last poll.
        let bomb = Bomb;
        let explodes = std::future::poll_fn(move |_| {
            let _: &Bomb = &bomb;
            Poll::Ready(Ok::<(), FetchError>(()))
        });
        let bomb = Bomb;
        let twice = std::future::poll_fn(move |_| {
            let _: &Bomb = &bomb;
            resume_unwind(Box::new("in the poll"));
            #[expect(unreachable_code, reason = "it says what the poll would give")]
            Poll::Ready(Ok::<(), FetchError>(()))
        });
        let (settled, reply, twice) = join::settle((explodes, backend.fetch(1), twice)).await;
        assert!(matches!(settled, Settled::Panicked(panic) if panic.message() == "boom"));
        assert!(reply.is_ok());
        assert!(matches!(twice, Settled::Panicked(panic) if panic.message() == "in the poll"));
    });
}

#[test]
fn the_error_says_how_many_failed_and_leads_to_the_first() {
    sim(async |_| {
        let backend = backend().on(1, ms(20), Outcome::Fail).on(2, ms(5), Outcome::TimeOut);
        let one = join::all((backend.fetch(0), backend.fetch(1))).await.expect_err("one fails");
        assert_eq!(one.to_string(), "branch 1 failed, of 2");
        let two = join::all((backend.fetch(0), backend.fetch(1), backend.fetch(2))).await.expect_err("two");
        assert_eq!(two.to_string(), "branch 1 failed, and 1 more of 3");
        let source = two.source().expect("the branch");
        assert_eq!(source.to_string(), "branch 1");
        let source = source.source().expect("its error");
        assert_eq!(source.to_string(), "item 1 is unavailable");
    });
}

#[test]
fn dropped_at_any_await_it_leaves_no_call_and_no_task_behind() {
    let setup = || backend().on(1, ms(70), Outcome::Fail).on(2, ms(3), Outcome::Panic);
    let gone = async |backend: Backend| match backend.in_flight() {
        0 => Ok(()),
        n => Err(format!("{n} calls in flight")),
    };
    let all = |backend: &Backend| {
        let backend = backend.clone();
        async move { drop(join::all((backend.fetch(0), backend.fetch(1), backend.fetch(2))).await) }
    };
    let settle = |backend: &Backend| {
        let backend = backend.clone();
        async move {
            let (first, second) = join::settle((backend.fetch(0), backend.fetch(1))).await;
            drop((first, second));
        }
    };
    assert!(every_await(setup, all, gone).unwrap() >= 3);
    assert!(every_await(setup, settle, gone).unwrap() >= 2);
}

#[test]
fn dropped_it_drops_every_branch_before_the_drop_returns() {
    sim(async |_| {
        let backend = backend();
        {
            let mut joined = Box::pin(join::all((backend.fetch(0), backend.fetch(1))));
            assert!(futures_util::poll!(&mut joined).is_pending());
            assert_eq!(backend.in_flight(), 2);
        }
        assert_eq!(backend.in_flight(), 0, "no scheduler has to come by first");
    });
}

#[test]
fn two_branches_that_compute_take_the_sum_and_two_that_wait_the_longer() {
    paused(async {
        let compute = async || {
            spend(ms(30));
            Ok::<_, ()>(())
        };
        let start = Instant::now();
        join::all((compute(), compute())).await.expect("none fails");
        assert_eq!(start.elapsed(), ms(60), "one thread, one after the other");
        let start = Instant::now();
        // A timer that comes due meanwhile is late: its branch has its turn when the other one lets it.
        let napped = async {
            sleep(ms(10)).await;
            Ok::<_, ()>(start.elapsed())
        };
        let busy = async {
            yield_now().await;
            compute().await
        };
        let (napped, ()) = join::all((napped, busy)).await.expect("none fails");
        assert!(napped >= ms(30), "{napped:?}");
    });
}

#[test]
fn also_on_several_threads_the_branches_take_turns() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let at_once = Arc::new(AtomicUsize::new(0));
        let overlaps = Arc::new(AtomicUsize::new(0));
        let turns = Arc::new(Mutex::new(Vec::<(usize, ThreadId)>::new()));
        let branch = |n: usize| {
            let (at_once, overlaps, turns) = (at_once.clone(), overlaps.clone(), turns.clone());
            async move {
                for _ in 0..500 {
                    overlaps.fetch_add(at_once.fetch_add(1, Relaxed), Relaxed);
                    turns.lock().unwrap().push((n, thread::current().id()));
                    // Long enough that somebody else would get in, if anybody could.
                    for _ in 0..200 {
                        std::hint::spin_loop();
                    }
                    at_once.fetch_sub(1, Relaxed);
                    yield_now().await;
                }
                Ok::<_, ()>(n)
            }
        };
        let joined = join::all((branch(0), branch(1)));
        // As a task it may move from thread to thread between two polls, and takes both branches along.
        let mut tasks = JoinSet::new();
        tasks.spawn(joined);
        assert_eq!(tasks.join_next().await.unwrap().unwrap().unwrap(), (0, 1));
        assert_eq!(overlaps.load(Relaxed), 0, "one at a time, whatever the number of threads");
        let turns = turns.lock().unwrap();
        for pair in turns.chunks(2) {
            let [first, second] = pair else { panic!("{pair:?}") };
            assert_eq!(first.1, second.1, "both branches of a poll on its thread");
            assert_ne!(first.0, second.0, "each has its turn");
        }
        assert!(!turns.iter().map(|(_, thread)| *thread).collect::<HashSet<_>>().is_empty());
    });
}

#[test]
fn it_spawns_no_task() {
    sim(async |_| {
        let backend = backend();
        let tasks = Handle::current().metrics().num_alive_tasks();
        join::all((backend.fetch(0), backend.fetch(1))).await.expect("both reply");
        assert_eq!(backend.peak(), 2);
        assert_eq!(backend.peak_tasks(), tasks);
    });
}

#[test]
fn it_is_send_if_its_branches_are_also_when_they_borrow() {
    async fn page(name: &str, backend: &Backend) -> Result<(usize, Reply), JoinErrors<FetchError>> {
        let length = async {
            yield_now().await;
            Ok(name.len())
        };
        join::all((length, backend.fetch(1))).await
    }
    fn can_be_spawned(task: impl Future<Output = usize> + Send + 'static) -> impl Future<Output = usize> {
        task
    }
    sim(async |_| {
        let task = can_be_spawned(async {
            let (name, backend) = (String::from("Ada"), backend());
            let (length, _) = page(&name, &backend).await.expect("none fails");
            let (again, _) = join::settle((page(&name, &backend), page(&name, &backend))).await;
            length + again.ok().map_or(0, |(length, _)| length)
        });
        assert_eq!(task.await, 6);
    });
}

#[test]
fn its_future_is_not_much_more_than_twice_as_large_as_its_branches() {
    // An async function for each layer would double it each time.
    let branch = async || {
        let held = [0_u8; 1000];
        yield_now().await;
        Ok::<_, ()>(usize::from(held[0]))
    };
    let one = size_of_val(&branch());
    let joined = size_of_val(&join::all((branch(), branch(), branch())));
    assert!(joined < 2 * 3 * one + 500, "{joined} bytes for three of {one}");
    let settled = size_of_val(&join::settle((branch(), branch(), branch())));
    assert!(settled < 2 * 3 * one + 500, "{settled} bytes for three of {one}");
}

/// Why there is `all`: the page says it of tokio's own.
#[test]
fn try_join_drops_what_is_under_way_and_a_panic_in_join_does_so_too() {
    paused(async {
        let failing = backend().on(0, ms(5), Outcome::Fail);
        assert!(tokio::try_join!(failing.fetch(0), failing.fetch(1)).is_err());
        let panicking = backend().on(0, ms(5), Outcome::Panic);
        let joined = async { tokio::join!(panicking.fetch(0), panicking.fetch(1)) };
        assert!(AssertUnwindSafe(joined).catch_unwind().await.is_err());
        for backend in [failing, panicking] {
            assert_eq!(backend.calls()[1].ended, Some((ms(5), CallEnd::Dropped)));
        }
    });
}
