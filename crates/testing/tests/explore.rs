//! Which bugs of order the exploration finds, how it tells them, and what it leaves alone.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{sync::Arc, time::Duration};
use testing::{
    explore,
    explore::{Exploration, Found, Schedule},
    sim::Kind,
};
use tokio::{
    sync::{Mutex, Notify, RwLock, mpsc},
    task::JoinSet,
    time::sleep,
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn finds(body: impl AsyncFn(Schedule) + Send + 'static) -> Box<Found> {
    Exploration::new().check(body).expect_err("nothing was found")
}

async fn increment(counter: Arc<Mutex<u32>>) {
    let read = *counter.lock().await;
    *counter.lock().await = read + 1;
}
const INCREMENT: u32 = line!() - 3;

async fn two_increments(schedule: Schedule) {
    let counter = Arc::new(Mutex::new(0));
    let tasks = ["first", "second"].map(|name| schedule.spawn(name, increment(counter.clone())));
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*counter.lock().await, 2);
}

#[test]
fn a_lost_update_is_found_and_the_usual_order_never_shows_it() {
    for _ in 0..1000 {
        testing::sim(async |_| {
            let counter = Arc::new(Mutex::new(0));
            let mut tasks = JoinSet::new();
            tasks.spawn(increment(counter.clone()));
            tasks.spawn(increment(counter.clone()));
            while tasks.join_next().await.is_some() {}
            assert_eq!(*counter.lock().await, 2);
        });
    }
    let found = finds(two_increments);
    assert!(found.failure.has(Kind::Failed), "{found}");
    assert_eq!(found.replayed, Some(5), "{found}");
    // Paused at its first lock, it finds the other behind it in the queue, and in front of it at its second.
    assert_eq!(found.pauses.len(), 1, "{found}");
    assert!(
        [0, 1].iter().any(|n| found.pauses[0].contains(&format!("explore.rs:{}", INCREMENT + n))),
        "{found}"
    );
}

#[test]
fn its_seed_replays_it_a_hundred_times() {
    let found = finds(two_increments);
    let told = found.to_string();
    for _ in 0..100 {
        let again = Exploration::new().seeds(found.seed..found.seed + 1).check(two_increments).unwrap_err();
        assert_eq!(again.pauses, found.pauses);
        assert_eq!(again.to_string().lines().last(), told.lines().last());
    }
}

#[test]
fn locks_in_two_orders_are_found_as_a_deadlock_with_its_lines() {
    let found = finds(async |schedule| {
        let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
        let tasks = [(0, 1), (1, 0)].map(|(first, second)| {
            let locks = locks.clone();
            schedule.spawn(format!("{first}, then {second}"), async move {
                let _first = locks[first].lock().await;
                let _second = locks[second].lock().await;
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(found.failure.has(Kind::Deadlock), "{found}");
    assert!(
        found.to_string().contains("`0, then 1`") && found.to_string().contains("explore.rs:"),
        "{found}"
    );
}

#[test]
fn a_notification_that_nobody_waits_for_yet_is_found() {
    let found = finds(async |schedule| {
        let ready = Arc::new(Notify::new());
        let bell = ready.clone();
        let waits = schedule.spawn("waits", async move { ready.notified().await });
        let rings = schedule.spawn("rings", async move { bell.notify_waiters() });
        waits.await.unwrap();
        rings.await.unwrap();
    });
    assert!(found.failure.has(Kind::Deadlock), "{found}");
}

#[test]
fn arms_of_a_join_are_perturbed_too() {
    finds(async |schedule| {
        let counter = Arc::new(Mutex::new(0));
        tokio::join!(
            schedule.perturb("left", increment(counter.clone())),
            schedule.perturb("right", increment(counter.clone())),
        );
        assert_eq!(*counter.lock().await, 2);
    });
}

#[test]
fn what_is_random_beyond_the_seed_is_said() {
    let found = Exploration::new()
        .check(async |_| {
            let mut picked = 0;
            for _ in 0..2 {
                tokio::select! {
                    () = std::future::ready(()) => picked += 1,
                    () = std::future::ready(()) => {}
                }
            }
            assert_ne!(picked, 2);
        })
        .unwrap_err();
    // Five replays that all fail by chance: once in a thousand. Then there is nothing to say.
    if found.replayed != Some(5) {
        assert!(found.to_string().contains("random beyond the seed"), "{found}");
    }
}

#[test]
fn a_body_that_blocks_is_told_with_its_seed() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let found = Exploration::new()
        .patience(ms(300))
        .check(async move |schedule| {
            if schedule.sim().random().u8(0..4) == 3 {
                _ = held.lock().unwrap().recv();
            }
        })
        .unwrap_err();
    drop(release);
    assert!(found.failure.has(Kind::Stuck), "{found}");
    assert_eq!(found.replayed, None);
}

#[test]
fn a_panic_that_somebody_joins_is_theirs_under_every_schedule() {
    explore(async |schedule| {
        let task = schedule.spawn("panics", async { panic!("meant") });
        let ended: Result<(), _> = task.await;
        assert!(ended.unwrap_err().is_panic());
    });
    let found = finds(async |schedule| {
        drop(schedule.spawn("panics", async { panic!("unseen") }));
        schedule.sim().settle().await;
    });
    assert!(found.failure.has(Kind::TaskPanicked), "{found}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_sleeps_in_a_poll_is_found() {
    let found = Exploration::new().seeds(0..1).check(async |_| {
        #[expect(clippy::disallowed_methods, reason = "what is to be found")]
        std::thread::sleep(ms(400));
    });
    assert!(found.unwrap_err().failure.has(Kind::Blocked));
}

#[test]
fn a_thousand_schedules_of_a_correct_program_pass() {
    explore(async |schedule| {
        let store = Arc::new(RwLock::new(0_u32));
        let (send, mut receive) = mpsc::channel(2);
        let mut random = schedule.sim().random();
        for writer in 0..4 {
            let (store, send, pause) = (store.clone(), send.clone(), random.u64(0..5));
            drop(schedule.spawn(format!("writer {writer}"), async move {
                for _ in 0..3 {
                    sleep(ms(pause)).await;
                    let now = {
                        let mut store = store.write().await;
                        *store += 1;
                        *store
                    };
                    send.send(now).await.unwrap();
                }
            }));
        }
        drop(send);
        let mut seen = Vec::new();
        while let Some(now) = receive.recv().await {
            let stored = *store.read().await;
            assert!(now <= stored);
            seen.push(now);
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    });
}
