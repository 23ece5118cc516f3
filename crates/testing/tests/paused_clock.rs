//! What the paused clock can do, and where it does not go along.
#![expect(clippy::unwrap_used, reason = "sockets on loopback, tasks that do not panic")]

use futures_util::FutureExt as _;
use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant as RealInstant, SystemTime},
};
use testing::with_real_io;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    task::{JoinSet, spawn_blocking, yield_now},
    time::{Instant, MissedTickBehavior, advance, interval, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

// ANCHOR: hour
#[tokio::test(start_paused = true)]
async fn an_hour_is_over_at_once_and_is_exactly_an_hour() {
    let (start, real, wall) = (Instant::now(), RealInstant::now(), SystemTime::now());
    sleep(HOUR).await;
    assert_eq!(start.elapsed(), HOUR);
    // But not in `std::time`.
    assert!(real.elapsed() < HOUR / 100);
    assert!(wall.elapsed().is_ok_and(|passed| passed < HOUR / 100));
}
// ANCHOR_END: hour

#[tokio::test(start_paused = true)]
async fn its_grain_is_a_millisecond() {
    for (asked, slept) in [(1, 1), (999, 1), (1000, 1), (1001, 2), (1500, 2)] {
        let start = Instant::now();
        sleep(Duration::from_micros(asked)).await;
        assert_eq!(start.elapsed(), Duration::from_millis(slept), "{asked} µs");
    }
}

// ANCHOR: spin
#[tokio::test(start_paused = true)]
async fn it_stands_still_while_anybody_can_run() {
    let start = Instant::now();
    let mut nap = JoinSet::from_iter([sleep(Duration::from_millis(1))]);
    for _ in 0..10_000 {
        yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(nap.try_join_next().is_none(), "a nap of a millisecond, and it never ends");
}
// ANCHOR_END: spin

// ANCHOR: blocking
#[tokio::test(start_paused = true)]
async fn it_stands_still_while_a_blocking_task_runs() {
    let start = Instant::now();
    let (_keep, never) = mpsc::channel::<()>();
    let blocking = spawn_blocking(move || never.recv_timeout(Duration::from_millis(20)));
    // The hour would be over at once; the thread takes 20 ms of real time, and is first.
    assert!(timeout(HOUR, blocking).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}
// ANCHOR_END: blocking

// ANCHOR: jump
/// Notes when it wakes.
async fn three_naps(start: Instant, awake: Arc<Mutex<Vec<Duration>>>) {
    for _ in 0..3 {
        sleep(SECOND).await;
        awake.lock().unwrap().push(start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn advance_is_one_jump_and_sleep_is_many() {
    for (jumps, seen) in [(false, vec![SECOND, 2 * SECOND, 3 * SECOND]), (true, vec![10 * SECOND])] {
        let awake = Arc::default();
        let mut naps = JoinSet::from_iter([three_naps(Instant::now(), Arc::clone(&awake))]);
        yield_now().await; // the first nap has begun
        if jumps {
            advance(10 * SECOND).await;
            yield_now().await;
        } else {
            sleep(10 * SECOND).await;
        }
        assert_eq!(*awake.lock().unwrap(), seen);
        naps.shutdown().await;
    }
}
// ANCHOR_END: jump

#[tokio::test(start_paused = true)]
async fn timers_that_one_jump_passes_all_fire_at_its_end() {
    let start = Instant::now();
    let mut naps: JoinSet<Duration> = JoinSet::from_iter([3, 1, 2].map(|seconds| async move {
        sleep(seconds * SECOND).await;
        start.elapsed()
    }));
    yield_now().await;
    advance(10 * SECOND).await;
    while let Some(awake) = naps.join_next().await {
        assert_eq!(awake.unwrap(), 10 * SECOND);
    }
}

// ANCHOR: burst
#[tokio::test(start_paused = true)]
async fn an_interval_makes_up_for_a_jump() {
    for (behavior, ticks) in [(MissedTickBehavior::Burst, 5), (MissedTickBehavior::Skip, 1)] {
        let mut ticking = interval(SECOND);
        ticking.set_missed_tick_behavior(behavior);
        ticking.tick().await; // the first is due at once
        advance(5 * SECOND).await;
        let at_once = std::iter::from_fn(|| ticking.tick().now_or_never()).count();
        assert_eq!(at_once, ticks, "{behavior:?}");
    }
}
// ANCHOR_END: burst

/// A server that is no part of the runtime. It answers the first client when it is told to, and the second after 20 ms.
fn server(told: mpsc::Receiver<()>) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        for patience in [Duration::from_secs(60), Duration::from_millis(20)] {
            let (mut client, _) = listener.accept().unwrap();
            told.recv_timeout(patience).ok();
            // The first has hung up by now.
            client.write_all(b"!").ok();
        }
    });
    (address, serving)
}

async fn ask(address: SocketAddr) -> io::Result<u8> {
    TcpStream::connect(address).await?.read_u8().await
}

#[tokio::test(start_paused = true)]
async fn it_does_not_wait_for_a_socket() {
    let (tell, told) = mpsc::channel();
    let (address, serving) = server(told);
    // ANCHOR: socket
    let real = RealInstant::now();
    assert!(timeout(HOUR, ask(address)).await.is_err(), "the hour is over");
    assert!(real.elapsed() < HOUR / 100);
    // ANCHOR_END: socket
    tell.send(()).unwrap();
    // ANCHOR: held
    let answer = with_real_io(ask(address));
    assert_eq!(timeout(HOUR, answer).await.unwrap().unwrap(), b'!');
    // ANCHOR_END: held
    serving.join().unwrap();
}
