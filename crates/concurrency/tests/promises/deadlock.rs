//! What `lock_both` and `lock_all` promise, and what the kit says of the four deadlocks.

use concurrency::{deadlock::SameLock, lock_all, lock_both};
use futures_util::{StreamExt as _, poll, stream};
use std::{
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Barrier, mpsc},
    time::{Duration, Instant},
};
use testing::{
    every_await,
    explore::Exploration,
    sim,
    sim::{Failure, Kind, Simulation},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{Mutex, Semaphore},
    task::{JoinSet, spawn_blocking, yield_now},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn guards_come_in_the_order_of_the_arguments_and_of_types_of_their_own() {
    sim(async |_| {
        let (name, age) = (Mutex::new("Ada"), Mutex::new(36));
        let (a, b) = lock_both(&name, &age).await.unwrap();
        assert_eq!((*a, *b), ("Ada", 36));
        drop((a, b));
        let (b, a) = lock_both(&age, &name).await.unwrap();
        assert_eq!((*a, *b), ("Ada", 36));
        let all: Vec<_> = (0..6).map(Mutex::new).collect();
        let guards = lock_all([4, 0, 5, 2].map(|n: usize| &all[n])).await.unwrap();
        assert_eq!(guards.iter().map(|guard| **guard).collect::<Vec<_>>(), [4, 0, 5, 2]);
        assert!(all[1].try_lock().is_ok() && all[4].try_lock().is_err());
        let none: [&Mutex<i32>; 0] = [];
        assert!(lock_all(none).await.unwrap().is_empty());
        // Also behind a trait object.
        let first: Arc<Mutex<dyn Send>> = Arc::new(Mutex::new(1));
        let second: Arc<Mutex<dyn Send>> = Arc::new(Mutex::new(""));
        assert_eq!(lock_all([&*second, &*first]).await.unwrap().len(), 2);
    });
}

#[test]
fn the_same_lock_twice_is_an_error_and_no_deadlock() {
    sim(async |_| {
        let all: Vec<_> = (0..4).map(Mutex::new).collect();
        let both = lock_both(&all[1], &all[1]).await.unwrap_err();
        assert_eq!((both.first, both.second), (0, 1));
        let same: SameLock = lock_all([3, 1, 2, 1].map(|n: usize| &all[n])).await.unwrap_err();
        assert_eq!(
            (same.first, same.second, same.to_string().as_str()),
            (1, 3, "lock 3 is lock 1 once more")
        );
        assert!(all.iter().all(|lock| lock.try_lock().is_ok()), "nothing is locked");
    });
}

#[test]
fn who_names_them_in_another_order_is_never_waited_for_in_a_circle() {
    let explored = Exploration::new().seeds(0..300).check(async |schedule| {
        let accounts: Arc<Vec<Mutex<i64>>> = Arc::new((0..4).map(|_| Mutex::new(50)).collect());
        let tasks: Vec<_> = [[0, 1, 2], [2, 1, 0], [1, 2, 3], [3, 0, 2]]
            .into_iter()
            .map(|places: [usize; 3]| {
                let accounts = accounts.clone();
                schedule.spawn(format!("{places:?}"), async move {
                    let mut all = lock_all(places.map(|place| &accounts[place])).await.unwrap();
                    yield_now().await;
                    *all[0] -= 10;
                    *all[1] += 10;
                    drop(all);
                    let (mut from, mut to) =
                        lock_both(&accounts[places[1]], &accounts[places[0]]).await.unwrap();
                    yield_now().await;
                    *from -= 10;
                    *to += 10;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let sum: i64 = accounts.iter().map(|account| *account.try_lock().unwrap()).sum();
        assert_eq!(sum, 200);
    });
    assert!(explored.is_ok(), "{}", explored.unwrap_err());
}

#[test]
fn dropped_at_any_await_it_keeps_no_lock() {
    let awaits = every_await(
        || Arc::new([Mutex::new(1), Mutex::new(2), Mutex::new(3)]),
        |locks| {
            let locks = locks.clone();
            async move {
                drop(lock_both(&locks[2], &locks[0]).await.unwrap());
                drop(lock_all(&*locks).await.unwrap());
            }
        },
        async |locks| {
            if locks.iter().all(|lock| lock.try_lock().is_ok()) {
                Ok(())
            } else {
                Err(String::from("locked"))
            }
        },
    );
    assert_eq!(awaits, Ok(5));
    // While it waits for the second with the first in hand, too.
    sim(async |_| {
        let locks = [Mutex::new(1), Mutex::new(2)];
        for (held, other) in [(0, 1), (1, 0)] {
            let guard = locks[held].lock().await;
            timeout(ms(10), lock_both(&locks[0], &locks[1])).await.unwrap_err();
            assert!(locks[other].try_lock().is_ok());
            drop(guard);
        }
    });
}

#[test]
fn it_can_be_spawned_and_runs_on_several_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let locks = Arc::new([Mutex::new(0_u32), Mutex::new(0)]);
        let mut tasks = JoinSet::new();
        for n in 0..8 {
            let locks = locks.clone();
            tasks.spawn(async move {
                for _ in 0..500 {
                    let (a, b) = (&locks[n % 2], &locks[1 - n % 2]);
                    let (mut a, mut b) = if n < 4 {
                        lock_both(a, b).await.unwrap()
                    } else {
                        let mut both = lock_all([a, b]).await.unwrap();
                        (both.remove(0), both.remove(0))
                    };
                    (*a, *b) = (*a + 1, *b + 1);
                }
            });
        }
        tasks.join_all().await;
        assert_eq!((*locks[0].lock().await, *locks[1].lock().await), (4000, 4000));
    });
}

/// What a run in the kit says, and that it does not take long: generously, for a machine that is busy.
fn found<T: Send + 'static>(body: impl AsyncFnOnce(sim::Sim) -> T + Send + 'static) -> Failure {
    let start = Instant::now();
    let Err(failure) = Simulation::new().check(body) else { panic!("it ended") };
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(failure.has(Kind::Deadlock), "{failure}");
    failure
}

#[test]
fn a_futurelock_is_found_and_a_join_has_none() {
    let failure = found(async |_| {
        let journal = Mutex::new(Vec::new());
        let back_up = async {
            let _journal = journal.lock().await;
            sleep(ms(5000)).await;
        };
        let order = async {
            let mut write = pin!(async { journal.lock().await.push("order") });
            tokio::select! {
                () = &mut write => return,
                () = sleep(ms(500)) => journal.lock().await.push("slow"),
            }
            write.await;
        };
        tokio::join!(back_up, order);
    });
    assert!(failure.to_string().contains("deadlock.rs"), "it names the lines: {failure}");
    sim(async |_| {
        let journal = Mutex::new(Vec::new());
        let back_up = async {
            let _journal = journal.lock().await;
            sleep(ms(5000)).await;
        };
        let order = async {
            let mut write = pin!(async { journal.lock().await.push("order") });
            if timeout(ms(500), &mut write).await.is_err() {
                tokio::join!(write, async { journal.lock().await.push("slow") });
            }
        };
        tokio::join!(back_up, order);
        assert_eq!(journal.into_inner(), ["order", "slow"]);
    });
}

#[test]
fn a_buffered_stream_and_its_consumer_on_one_semaphore_are_found() {
    found(async |_| {
        let connections = Semaphore::new(2);
        let fetch = async |page: u32| {
            let _connection = connections.acquire().await;
            sleep(ms(10)).await;
            sleep(ms(10)).await;
            page
        };
        let mut pages = stream::iter(0..6).map(fetch).buffered(3);
        while let Some(_page) = pages.next().await {
            // Both permits were given to futures in the buffer, which nobody polls now.
            let _connection = connections.acquire().await;
        }
    });
    sim(async |_| {
        let connections = Semaphore::new(2);
        let fetch_and_store = async |_: u32| {
            {
                let _connection = connections.acquire().await;
                sleep(ms(20)).await;
            }
            let _connection = connections.acquire().await;
        };
        stream::iter(0..6).map(fetch_and_store).buffer_unordered(3).collect::<()>().await;
    });
}

#[test]
fn locks_in_two_orders_are_found_in_one_of_a_few_schedules() {
    let explored = Exploration::new().seeds(0..300).check(async |schedule| {
        let accounts = Arc::new([Mutex::new(50), Mutex::new(50)]);
        let tasks = [(0, 1), (1, 0)].map(|(from, to): (usize, usize)| {
            let accounts = accounts.clone();
            schedule.spawn(format!("{from} to {to}"), async move {
                let mut source = accounts[from].lock().await;
                let mut target = accounts[to].lock().await;
                *source -= 10;
                *target += 10;
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(explored.unwrap_err().failure.has(Kind::Deadlock));
}

#[test]
fn address_order_is_kept_by_who_waits() {
    sim(async |_| {
        let locks = [Mutex::new(0), Mutex::new(1)];
        let upper = locks[1].lock().await;
        let mut both = pin!(lock_both(&locks[1], &locks[0]));
        assert!(poll!(&mut both).is_pending());
        assert!(
            locks[0].try_lock().is_err(),
            "the lower address is locked first, whatever the order of the arguments"
        );
        drop(upper);
        assert!(poll!(&mut both).is_ready());
    });
}

#[test]
fn a_full_blocking_pool_is_found_with_few_threads_and_a_job_that_asks_outside_has_none() {
    let threads = NonZeroUsize::new(2).unwrap();
    let small = || Simulation::new().blocking_threads(threads);
    let start = Instant::now();
    let found = small().patience(ms(200)).check(async |_| {
        // Before both have a thread, the pool is not full.
        let meet = Arc::new(Barrier::new(2));
        let job = |meet: Arc<Barrier>| {
            spawn_blocking(move || {
                meet.wait();
                Handle::current().block_on(spawn_blocking(|| 7))
            })
        };
        tokio::join!(job(meet.clone()), job(meet))
    });
    let Err(failure) = found else { panic!("it ended") };
    assert!(failure.has(Kind::Stuck), "{failure}");
    assert!(failure.to_string().contains("jobs that wait for jobs"), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    small().run(async |_| {
        let meet = Arc::new(Barrier::new(2));
        let job = async |meet: Arc<Barrier>| {
            spawn_blocking(move || meet.wait()).await.unwrap();
            spawn_blocking(|| 7).await.unwrap()
        };
        assert_eq!(tokio::join!(job(meet.clone()), job(meet)), (7, 7));
    });
}

/// The same on the real clock, with a third thread as the cure.
#[test]
fn a_job_of_a_full_blocking_pool_waits_for_ever_for_one_that_never_begins() {
    for (threads, begins) in [(2, false), (3, true)] {
        let runtime = Builder::new_current_thread().max_blocking_threads(threads).build().unwrap();
        let (queued, both) = mpsc::channel();
        let (give_up, meet) = (CancellationToken::new(), Arc::new(Barrier::new(2)));
        let jobs = [(); 2].map(|()| {
            let (queued, handle, give_up) = (queued.clone(), runtime.handle().clone(), give_up.clone());
            let meet = meet.clone();
            runtime.spawn_blocking(move || {
                // Before the second has a thread, the pool is not full.
                meet.wait();
                let inner = handle.spawn_blocking(|| "began");
                queued.send(()).unwrap();
                handle.block_on(give_up.run_until_cancelled(inner))
            })
        });
        both.recv().unwrap();
        both.recv().unwrap();
        if !begins {
            // Both threads are taken, by jobs that wait for a thread; and nobody but us can make them stop.
            assert!(jobs.iter().all(|job| !job.is_finished()));
            give_up.cancel();
        }
        for job in jobs {
            // Once one has given up, its thread is free, and the other's job may begin after all.
            let began = runtime.block_on(job).unwrap();
            assert!(!begins || began.is_some_and(|began| began.is_ok()));
        }
    }
}

#[test]
fn of_several_locks_that_are_given_twice_the_first_in_the_list_is_named_wherever_they_lie() {
    sim(async |_| {
        let locks = [0, 1].map(Mutex::new);
        for (one, other) in [(0, 1), (1, 0)] {
            let given = [one, one, other, other].map(|n| &locks[n]);
            let same = lock_all(given).await.expect_err("both are given twice");
            assert_eq!((same.first, same.second), (0, 1));
        }
    });
}
