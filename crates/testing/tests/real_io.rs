//! The paused clock lies about real I/O; held, it does not.
#![expect(clippy::unwrap_used, reason = "sockets on loopback")]

use std::{
    io::Write as _,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::mpsc,
    thread,
    time::{Duration, Instant as RealInstant},
};
use testing::{real_io::HeldClock, with_real_io};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{Instant, error::Elapsed, sleep, timeout},
};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Runs what hangs if the clock isn't let go.
fn in_time(body: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        body();
        drop(done);
    });
    let late = is_done.recv_timeout(HALF_A_MINUTE) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!late, "it hangs: the clock, or a runtime, waits for a guard that is gone");
    running.join().unwrap();
}

/// A server on a thread of its own, which the paused clock can't see: it answers each client after 20 ms of real time.
#[expect(clippy::disallowed_methods, reason = "the latency of a thread outside of the runtime")]
fn slow_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                client.write_all(b"!").unwrap();
            });
        }
    });
    address
}

async fn ask(server: SocketAddr) -> Result<u8, Elapsed> {
    timeout(HALF_A_MINUTE, async { TcpStream::connect(server).await.unwrap().read_u8().await.unwrap() }).await
}

#[test]
fn half_a_minute_is_over_before_an_answer_that_takes_20_ms() {
    runtime().block_on(async {
        let (virtually, really) = (Instant::now(), RealInstant::now());
        assert!(
            ask(slow_server()).await.is_err(),
            "the clock has stopped lying: `with_real_io` is of no use"
        );
        assert!(virtually.elapsed() >= HALF_A_MINUTE);
        assert!(really.elapsed() < HALF_A_MINUTE / 2);
    });
}

#[test]
fn with_real_io_the_answer_comes_and_no_virtual_time_passes() {
    in_time(|| {
        runtime().block_on(async {
            let start = Instant::now();
            assert_eq!(with_real_io(ask(slow_server())).await, Ok(b'!'));
            assert_eq!(start.elapsed(), Duration::ZERO);
        });
    });
}

#[test]
fn afterwards_the_clock_jumps_as_before() {
    in_time(|| {
        runtime().block_on(async {
            with_real_io(ask(slow_server())).await.unwrap();
            let (virtually, really) = (Instant::now(), RealInstant::now());
            sleep(Duration::from_secs(3600)).await;
            assert_eq!(virtually.elapsed(), Duration::from_secs(3600));
            assert!(really.elapsed() < Duration::from_secs(1800));
        });
    });
}

#[test]
fn of_nested_and_overlapping_holds_the_last_lets_the_clock_go() {
    in_time(|| {
        runtime().block_on(async {
            let server = slow_server();
            let outer = HeldClock::new();
            with_real_io(with_real_io(ask(server))).await.unwrap();
            let second = HeldClock::new();
            drop(outer);
            let start = Instant::now();
            assert_eq!(ask(server).await, Ok(b'!'));
            assert_eq!(start.elapsed(), Duration::ZERO);
            drop(second);
            sleep(Duration::from_secs(1)).await;
        });
    });
}

#[test]
fn a_dropped_or_panicked_scope_lets_the_clock_go() {
    in_time(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let never = tasks.spawn(with_real_io(std::future::pending::<()>()));
            tokio::task::yield_now().await;
            never.abort();
            tasks.spawn(with_real_io(async { std::panic::resume_unwind(Box::new("on purpose")) }));
            while tasks.join_next().await.is_some() {}
            sleep(Duration::from_secs(1)).await;
        });
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _clock = HeldClock::new();
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        }));
        unwound.unwrap_err();
        runtime.block_on(async { sleep(Duration::from_secs(1)).await });
    });
}

#[test]
fn a_guard_that_outlives_its_runtime_does_not_keep_it_from_shutting_down() {
    let flavours: [fn() -> Builder; 2] = [Builder::new_current_thread, Builder::new_multi_thread];
    for flavour in flavours {
        in_time(move || {
            let runtime = flavour().enable_time().build().unwrap();
            let clocks = runtime.block_on(async { [HeldClock::new(), HeldClock::new()] });
            drop(runtime);
            drop(clocks);
        });
    }
}

#[test]
fn a_runtime_that_is_dropped_with_a_scope_under_way_shuts_down() {
    in_time(|| {
        let runtime = runtime();
        let mut tasks = JoinSet::new();
        runtime.block_on(async {
            tasks.spawn(with_real_io(std::future::pending::<()>()));
            tokio::task::yield_now().await;
        });
        drop(runtime);
    });
}

#[test]
fn where_blocking_threads_are_scarce_two_holds_are_no_deadlock() {
    in_time(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (first, second) = (HeldClock::new(), HeldClock::new());
            drop(first);
            assert_eq!(ask(slow_server()).await, Ok(b'!'));
            drop(second);
            sleep(Duration::from_secs(1)).await;
        });
    });
}

#[test]
fn a_thousand_scopes_leave_no_task_and_raise_no_alarm() {
    in_time(|| {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let start = Instant::now();
            for _ in 0..1000 {
                let (accepted, mut client) = with_real_io(async {
                    tokio::join!(listener.accept(), async { TcpStream::connect(address).await.unwrap() })
                })
                .await;
                drop(accepted);
                assert_eq!(
                    with_real_io(timeout(HALF_A_MINUTE, client.read(&mut [0]))).await.unwrap().unwrap(),
                    0
                );
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(start.elapsed(), Duration::from_secs(1));
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        });
    });
}
