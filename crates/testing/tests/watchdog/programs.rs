//! Correct programs of some size, a thousand of them, seeded: no alarm.

use crate::work::{LIMIT, many, one, spin};
use std::{sync::Arc, time::Duration};
use testing::{Watchdog, watchdog::labelled};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Builder,
    sync::{Mutex, Semaphore, mpsc},
    task::{JoinSet, block_in_place, spawn_blocking, yield_now},
    time::{sleep, timeout},
};

/// A small service: requests behind a limit, which compute, wait, lock, talk, and leave work to threads.
async fn service(seed: u64, in_place: bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let places = Arc::new(Semaphore::new(random.usize(1..16)));
    let cache = Arc::new(Mutex::new(Vec::new()));
    let (queue, mut queued) = mpsc::channel(4);
    let mut requests = JoinSet::new();
    for number in 0..random.u64(5..40) {
        let (places, cache, queue) = (places.clone(), cache.clone(), queue.clone());
        let micros = Duration::from_micros(random.u64(0..300));
        let kind = random.u8(0..6);
        requests.spawn(labelled("request", async move {
            let _place = places.acquire().await.unwrap();
            match kind {
                0 => sleep(3 * micros).await,
                1 => spin(micros),
                2 if in_place => block_in_place(|| spin(2 * micros)),
                2 => spawn_blocking(move || spin(2 * micros)).await.unwrap(),
                3 => {
                    let (mut near, mut far) = tokio::io::duplex(16);
                    let (sent, got) = tokio::join!(near.write_all(b"hello"), far.read_u8());
                    sent.unwrap();
                    assert_eq!(got.unwrap(), b'h');
                }
                4 => drop(timeout(micros, std::future::pending::<()>()).await),
                _ => yield_now().await,
            }
            cache.lock().await.push(number);
            queue.send(number).await.unwrap();
        }));
    }
    drop(queue);
    while queued.recv().await.is_some() {}
    while requests.join_next().await.is_some() {}
}

/// Runs the programs on one runtime, as a service that has long been running would.
fn run(mut builder: Builder, seeds: std::ops::Range<u64>, in_place: bool) {
    let setup = Watchdog::limit(LIMIT).install(&mut builder);
    let runtime = builder.build().unwrap();
    let watchdog = setup.start(runtime.handle()).unwrap();
    runtime.block_on(watchdog.root(async {
        for seed in seeds {
            service(seed, in_place).await;
            assert_eq!(watchdog.stalls(), [], "seed {seed}");
        }
    }));
    assert_eq!(watchdog.stalls(), []);
}

#[test]
fn five_hundred_programs_on_one_thread() {
    run(one(), 0..500, false);
}

#[test]
fn five_hundred_programs_on_three_threads() {
    run(many(3), 500..1000, true);
}

#[test]
fn a_hundred_programs_each_on_a_runtime_of_its_own() {
    for seed in 1000..1050 {
        run(one(), seed..seed + 1, false);
        run(many(2), seed..seed + 1, true);
    }
}
