//! Which drops `every_await` finds, where it says they were, and what it leaves alone.
#![allow(clippy::unwrap_used, reason = "a test")]

use common::Recorder;
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::every_await;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Mutex, Semaphore, mpsc, oneshot},
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

/// Two channels: the items to carry, and where they go. The sender of the items is kept, so that they don't end.
type Channels =
    Arc<(Mutex<mpsc::Receiver<u32>>, mpsc::Sender<u32>, Mutex<mpsc::Receiver<u32>>, mpsc::Sender<u32>)>;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_future_without_awaits_is_dropped_nowhere() {
    assert_eq!(every_await(|| (), |()| async {}, async |()| Ok(())), Ok(0));
}

#[test]
fn a_destructor_that_panics_is_told_with_the_line_of_the_await() {
    /// What async clean-up in a destructor comes to: no runtime lets itself be blocked from within.
    struct Lease;
    impl Drop for Lease {
        fn drop(&mut self) {
            Handle::current().block_on(yield_now());
        }
    }
    let line = line!() + 6;
    let broken = every_await(
        || (),
        |()| async {
            yield_now().await;
            let lease = Lease;
            sleep(ms(1)).await;
            std::mem::forget(lease);
        },
        async |()| Ok(()),
    )
    .unwrap_err();
    assert!(broken.contains("dropped at await 2") && broken.contains("runtime"), "{broken}");
    assert!(broken.contains(&format!("every_await.rs:{line}")), "{broken}");
}

#[test]
fn an_await_that_is_ready_counts() {
    // Receiving and sending are both ready at once: without stepping the budget neither would ever give way.
    let setup = || {
        let (source, items) = mpsc::channel(4);
        let (sink, out) = mpsc::channel(4);
        source.try_send(1).unwrap();
        Arc::new((Mutex::new(items), sink, Mutex::new(out), source))
    };
    let carried = async |state: Channels| {
        let here = state.0.lock().await.try_recv().is_ok();
        let there = state.2.lock().await.try_recv().is_ok();
        if here || there { Ok(()) } else { Err(String::from("the message is lost")) }
    };
    let loses = every_await(
        setup,
        |state: &Channels| {
            let state = state.clone();
            async move {
                let message = state.0.lock().await.recv().await.unwrap();
                state.1.send(message).await.unwrap();
            }
        },
        carried,
    );
    assert!(loses.unwrap_err().contains("the message is lost"));
    let keeps = every_await(
        setup,
        |state| {
            let state = state.clone();
            async move {
                // A place first: between taking the message and sending it there is no await.
                let place = state.1.reserve().await.unwrap();
                let message = state.0.lock().await.recv().await.unwrap();
                place.send(message);
            }
        },
        carried,
    );
    assert!(keeps.unwrap() >= 3);
}

#[test]
fn an_await_that_follows_one_without_a_budget_counts() {
    let broken = every_await(
        || Arc::new((Semaphore::new(1), std::sync::Mutex::new(0))),
        |state| {
            let state = state.clone();
            async move {
                yield_now().await;
                *state.1.lock().unwrap() -= 10;
                drop(state.0.acquire().await);
                *state.1.lock().unwrap() += 10;
            }
        },
        async |state| {
            let sum = *state.1.lock().unwrap();
            if sum == 0 { Ok(()) } else { Err(format!("{sum} are lost")) }
        },
    );
    assert!(broken.unwrap_err().contains("-10 are lost"));
}

#[test]
fn a_task_that_survives_the_drop_is_told() {
    let leaks = every_await(
        || (),
        |()| async {
            let mut tasks = JoinSet::new();
            tasks.spawn(pending::<()>());
            tasks.detach_all();
            yield_now().await;
        },
        async |()| Ok(()),
    );
    assert!(leaks.unwrap_err().contains("1 task is left"));
}

#[test]
fn the_moment_between_wake_up_and_poll_is_tried_too() {
    // A permit that was handed over and dropped unseen goes back; a message on a oneshot does not.
    let safe = every_await(
        || Arc::new(Semaphore::new(1)),
        |permits| {
            let permits = permits.clone();
            async move { drop(permits.acquire().await) }
        },
        async |permits| if permits.available_permits() == 1 { Ok(()) } else { Err("lost a permit".into()) },
    );
    assert_eq!(safe, Ok(1));
    let lost = every_await(
        || {
            let (send, receive) = oneshot::channel();
            let delivered = Arc::new(std::sync::Mutex::new(None));
            (Arc::new(std::sync::Mutex::new(Some((send, receive)))), delivered)
        },
        |(ends, delivered)| {
            let (send, receive) = ends.lock().unwrap().take().unwrap();
            let delivered = delivered.clone();
            async move {
                let mut tasks = JoinSet::new();
                let sent = delivered.clone();
                tasks.spawn(async move {
                    sleep(ms(1)).await;
                    *sent.lock().unwrap() = Some(send.send(()).is_ok());
                });
                receive.await.unwrap();
                *delivered.lock().unwrap() = None;
                while tasks.join_next().await.is_some() {}
            }
        },
        async |(_, delivered)| match *delivered.lock().unwrap() {
            Some(true) => Err(String::from("sent, and never received")),
            _ => Ok(()),
        },
    );
    assert!(lost.unwrap_err().contains("between its wake-up and its next poll"));
}

/// Two accounts.
type Bank = Arc<[Mutex<i32>; 2]>;

fn bank() -> Bank {
    Arc::new([Mutex::new(50), Mutex::new(50)])
}

async fn sum_is_100(bank: Bank) -> Result<(), String> {
    let sum = *bank[0].lock().await + *bank[1].lock().await;
    if sum == 100 { Ok(()) } else { Err(format!("{sum} in all, not 100")) }
}

async fn transfer(bank: Bank) {
    *bank[0].lock().await -= 10;
    audit().await;
    *bank[1].lock().await += 10;
}

async fn audit() {
    sleep(ms(1)).await;
}
const AUDIT: u32 = line!() - 2;

#[test]
fn the_line_of_the_await_is_told_and_the_moment() {
    let broken = every_await(bank, |bank| transfer(bank.clone()), sum_is_100).unwrap_err();
    // The first await that breaks it is the one inside of `audit`, the second of all.
    assert!(broken.starts_with("dropped at await 2 (tests/every_await.rs:"), "{broken}");
    assert!(broken.contains(&format!("every_await.rs:{AUDIT})")), "{broken}");
    assert!(broken.contains("while it waited: 90 in all, not 100"), "{broken}");
}

#[test]
fn several_awaits_at_once_are_told_together() {
    let line = line!() + 4;
    let broken = every_await(
        || (),
        |()| async {
            tokio::join!(async { sleep(ms(5)).await }, async {
                sleep(ms(5)).await;
            });
        },
        async |()| Err(String::from("always")),
    )
    .unwrap_err();
    assert!(
        broken.contains(&format!("every_await.rs:{line} + tests/every_await.rs:{}", line + 1)),
        "{broken}"
    );
}

#[test]
fn what_breaks_without_a_drop_is_told_as_such() {
    let broken = every_await(|| (), |()| async {}, async |()| Err(String::from("never right")));
    assert_eq!(broken.unwrap_err(), "not dropped at all: never right");
}

/// Sends a message in two writes to whoever accepts, and counts what was sent whole.
async fn send_two_parts(listener: std::net::SocketAddr, sent: Arc<AtomicU32>) {
    let mut stream = TcpStream::connect(listener).await.unwrap();
    let mut answer = [0];
    stream.write_all(b"half ").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    stream.write_all(b"whole").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    sent.fetch_add(1, Relaxed);
}

#[test]
fn with_io_drops_at_real_waits_and_says_the_line() {
    let wants = |whole_only: bool| {
        every_await::with_io(
            async || {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                let (there, got) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
                let mut server = JoinSet::new();
                let heard = got.clone();
                server.spawn(async move {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut part = [0; 5];
                    while stream.read_exact(&mut part).await.is_ok() {
                        heard.lock().await.extend(part);
                        if stream.write_all(b".").await.is_err() {
                            break;
                        }
                    }
                });
                (there, got, server)
            },
            |(there, _, _)| send_two_parts(*there, Arc::default()),
            async move |(_, got, mut server)| {
                // Who was dropped before it connected is never accepted.
                drop(timeout(ms(30), server.join_next()).await);
                server.shutdown().await;
                let got = got.lock().await.clone();
                if whole_only && got == b"half " { Err(String::from("half a message")) } else { Ok(()) }
            },
        )
    };
    let broken = wants(true).unwrap_err();
    assert!(broken.contains("(tests/every_await.rs:") && broken.contains("half a message"), "{broken}");
    assert!(wants(false).unwrap() >= 2);
}

#[test]
fn with_io_counts_the_tasks_that_are_left() {
    let leaks = every_await::with_io(
        async || (),
        |()| async {
            let mut tasks = JoinSet::new();
            tasks.spawn(pending::<()>());
            tasks.detach_all();
            yield_now().await;
        },
        async |()| Ok(()),
    );
    assert!(leaks.unwrap_err().contains("1 task is left"));
}

/// Carries numbers from one queue to another, a place first, with a deadline for the whole; nothing is lost wherever it
/// is dropped.
async fn carry(items: &Mutex<mpsc::Receiver<u32>>, sink: &mpsc::Sender<u32>, pauses: [u64; 4]) {
    let all = async {
        for pause in pauses {
            sleep(ms(pause)).await;
            let Ok(place) = sink.reserve().await else { return };
            let Some(item) = items.lock().await.recv().await else { return };
            place.send(item);
        }
    };
    drop(timeout(ms(12), all).await);
}

#[test]
fn a_correct_program_passes_at_thousands_of_drops() {
    // About thirty runs a seed.
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let pauses = std::array::from_fn(|_| random.u64(0..6));
        let awaits = every_await(
            || {
                let (source, items) = mpsc::channel(4);
                let (sink, out) = mpsc::channel(4);
                (0..3).for_each(|item| source.try_send(item).unwrap());
                Arc::new((Mutex::new(items), sink, Mutex::new(out), source))
            },
            |state: &Channels| {
                let state = state.clone();
                async move { carry(&state.0, &state.1, pauses).await }
            },
            async |state: Channels| {
                let (mut left, mut out) = (state.0.lock().await, state.2.lock().await);
                let mut seen = 0;
                while left.try_recv().is_ok() || out.try_recv().is_ok() {
                    seen += 1;
                }
                if seen == 3 { Ok(()) } else { Err(format!("{seen} of 3 are left")) }
            },
        );
        assert!(awaits.unwrap_or_else(|broken| panic!("seed {seed}: {broken}")) >= 3);
    }
}

/// A lane keeps a waker of its own, also when what is in it turns out to be ready.
#[test]
fn an_await_that_was_passed_is_not_named() {
    let line = line!() + 7;
    let broken = every_await(
        || Recorder::new("a nap, and a lock"),
        |recorder| {
            let recorder = recorder.clone();
            async move {
                recorder.lane("nap", sleep(ms(5))).await;
                drop(recorder.lane("lock", Mutex::new(()).lock()).await);
                pending::<()>().await;
            }
        },
        async |recorder| match recorder.trace().lanes.len() {
            2 => Err(String::from("at the lock")),
            _ => Ok(()),
        },
    )
    .unwrap_err();
    assert!(broken.contains(&format!("every_await.rs:{line})")), "{broken}");
}

#[test]
fn the_tasks_of_the_state_are_its_own() {
    // An actor that the invariant dismisses and awaits.
    let awaits = every_await(
        || {
            let (ask, mut asked) = mpsc::channel::<oneshot::Sender<u32>>(1);
            let mut actor = JoinSet::new();
            actor.spawn(async move {
                let mut answers = 0;
                while let Some(reply) = asked.recv().await {
                    answers += 1;
                    reply.send(answers).ok();
                }
            });
            (ask, actor)
        },
        |(ask, _)| {
            let ask = ask.clone();
            async move {
                let (reply, answer) = oneshot::channel();
                ask.send(reply).await.unwrap();
                answer.await.unwrap();
            }
        },
        async |(ask, mut actor)| {
            drop(ask);
            actor.join_next().await.unwrap().map_err(|error| error.to_string())
        },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn an_invariant_that_waits_for_ever_or_panics_is_told_with_the_await() {
    let permits = || Arc::new(Semaphore::new(1));
    let leaky = |permits: &Arc<Semaphore>| {
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            yield_now().await;
            permits.add_permits(1);
        }
    };
    let waits = every_await(permits, leaky, async |permits| {
        drop(permits.acquire().await);
        Ok(())
    });
    let told = waits.unwrap_err();
    assert!(told.contains("dropped at await 2") && told.contains("was not given back"), "{told}");
    let panics = every_await(permits, leaky, async |permits| {
        assert_eq!(permits.available_permits(), 1);
        Ok(())
    });
    let told = panics.unwrap_err();
    assert!(told.contains("dropped at await 2") && told.contains("the invariant panicked"), "{told}");
}

#[test]
fn a_deadlock_without_a_drop_is_an_error() {
    let stuck = every_await(|| (), |()| async { pending::<()>().await }, async |()| Ok(()));
    // Dropped at its first await, it is fine; and its end never comes.
    assert!(stuck.unwrap_err().contains("a deadlock, when nothing was dropped"));
}
