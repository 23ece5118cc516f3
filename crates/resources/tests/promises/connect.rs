//! What a set-up in steps promises.

use super::exit_stack::{Held, Turns};
use common::{
    Recorder,
    server::{Call, Outcome, Server, ServerError, Session, What},
};
use futures_util::FutureExt as _;
use resources::{ConnectError, ExitStack, Lent, Ready, Reaper, connect};
use std::{
    error::Error as _,
    future,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use testing::{every_await, sim};
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const LIMIT: Duration = ms(50);
const LONG: Duration = Duration::from_secs(60);
const STEPS: [&str; 3] = ["socket", "session", "lease"];

fn server() -> Server {
    Server::new(&Recorder::new(""))
}

#[derive(Debug)]
struct Client {
    socket: Lent<Session>,
    session: Lent<Session>,
    lease: Lent<Session>,
}

type Connected = Result<Ready<Client>, ConnectError<ServerError>>;

/// Opens the three of them, 10 ms each.
async fn client(server: &Server, reaper: &Reaper) -> Connected {
    connect(reaper, async |stack| {
        let socket = stack.enter("socket", server.open("socket"), Session::close).await?;
        let session = stack.enter("session", server.open("session"), Session::close).await?;
        let lease = stack.enter("lease", server.open("lease"), Session::close).await?;
        Ok(Client { socket, session, lease })
    })
    .await
}

/// The sessions of which something of this kind was noted, in order.
fn noted(server: &Server, what: What) -> Vec<String> {
    server.log().into_iter().filter(|line| line.what == what).map(|line| line.session).collect()
}

/// Each that was opened was closed once, the last one first, one at a time.
fn undone_in_order(server: &Server, opened: usize) {
    assert!(server.left_open().is_empty(), "{:?}", server.log());
    let mut last_first: Vec<_> = STEPS[..opened].iter().map(|step| (*step).to_owned()).collect();
    last_first.reverse();
    assert_eq!(noted(server, What::Closing), last_first, "{:?}", server.log());
    let in_turn: Vec<_> =
        server.log().into_iter().filter(|line| !matches!(line.what, What::NotOpened)).collect();
    let closings: Vec<_> = in_turn[opened..].iter().map(|line| line.session.clone()).collect();
    let pairs: Vec<_> = last_first.iter().flat_map(|step| [step.clone(), step.clone()]).collect();
    assert_eq!(closings, pairs, "one is over before the next is begun: {:?}", server.log());
}

#[test]
fn who_has_all_the_steps_has_a_value_and_closing_it_undoes_them_in_reverse() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server());
        let mut ready = client(&server, &reaper).await.unwrap();
        assert_eq!(server.left_open(), STEPS);
        assert_eq!(ready.lease.ask(7).await.unwrap(), "lease: 7");
        assert_eq!((ready.socket.name(), ready.session.name()), ("socket", "session"));
        assert_eq!(ready.close().await.closed, ["lease", "session", "socket"]);
        undone_in_order(&server, 3);
        assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished");
    });
}

#[test]
fn a_step_that_fails_undoes_those_before_it_before_its_error_comes_back() {
    for (n, step) in STEPS.into_iter().enumerate() {
        sim(async move |_| {
            let server = server().on(Call::Open, step, ms(10), Outcome::Fail);
            let (reaper, start) = (Reaper::new(LIMIT), Instant::now());
            let error = client(&server, &reaper).await.unwrap_err();
            undone_in_order(&server, n);
            assert_eq!(start.elapsed(), ms(10) * u32::try_from(n + 1 + n).unwrap());
            assert_eq!((error.error.session.as_str(), error.undone.closed.len()), (step, n));
            assert_eq!(error.to_string(), format!("the server could not open {step}"));
            assert_eq!(error.source().unwrap().to_string(), error.to_string());
            assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished");
        });
    }
}

#[test]
fn the_error_of_the_step_is_kept_and_so_is_every_error_of_undoing() {
    sim(async |_| {
        let server = server()
            .on(Call::Open, "lease", ms(10), Outcome::Fail)
            .on(Call::Close, "session", ms(10), Outcome::Hang)
            .on(Call::Close, "socket", ms(10), Outcome::Fail);
        let error = client(&server, &Reaper::new(LIMIT)).await.unwrap_err();
        let told = "the server could not open lease; and then 0 closed; \
                    failed: session: it was not closed within 50ms; \
                    socket: it could not be closed: the server could not close socket";
        assert_eq!(error.to_string(), told);
    });
}

#[test]
fn a_panic_in_a_step_goes_on_when_those_before_are_undone() {
    for (n, step) in STEPS.into_iter().enumerate() {
        sim(async move |_| {
            let server = server().on(Call::Open, step, ms(10), Outcome::Panic).on(
                Call::Close,
                "socket",
                ms(10),
                Outcome::Fail,
            );
            let reaper = Reaper::new(LIMIT);
            let ended = AssertUnwindSafe(client(&server, &reaper)).catch_unwind().await;
            let payload = ended.unwrap_err();
            assert_eq!(payload.downcast_ref::<String>(), Some(&format!("{step} is cursed")));
            undone_in_order(&server, n);
            // With the panic, nobody would hear of the other.
            let drained = reaper.drain(LONG).await;
            assert_eq!((drained.finished, drained.failed.len()), (0, usize::from(n > 0)));
        });
    }
}

/// It panics when it is called: there is no future to be polled.
fn cursed(stack: &mut ExitStack) -> future::Ready<Result<(), ServerError>> {
    stack.push("flag", sleep(ms(10)).map(Ok::<(), ServerError>));
    resume_unwind(Box::new("cannot even begin"))
}

#[test]
fn steps_that_panic_before_they_give_a_future_wait_for_their_undoing_as_well() {
    sim(async |_| {
        let (reaper, start) = (Reaper::new(LIMIT), Instant::now());
        let panic = AssertUnwindSafe(connect(&reaper, cursed)).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"cannot even begin"));
        assert_eq!((start.elapsed(), reaper.drain(LONG).await.finished), (ms(10), 0));
    });
}

#[test]
fn dropped_at_any_moment_nothing_is_half_open_whenever_the_server_opens() {
    for early in [false, true] {
        for after in 0..30 {
            sim(async move |_| {
                let server = if early { server().opens_at_once() } else { server() };
                let reaper = Reaper::new(LIMIT);
                timeout(ms(after), client(&server, &reaper)).await.unwrap_err();
                assert!(reaper.drain(LONG).await.is_clean());
                // The step that was begun is finished, and then undone.
                undone_in_order(&server, usize::try_from(after / 10 + 1).unwrap());
            });
        }
    }
}

#[test]
fn dropped_while_it_undoes_it_goes_on_and_no_step_is_undone_twice() {
    for after in 30..50 {
        sim(async move |_| {
            let server = server().on(Call::Open, "lease", ms(10), Outcome::Fail);
            let reaper = Reaper::new(LIMIT);
            timeout(ms(after), client(&server, &reaper)).await.unwrap_err();
            assert!(reaper.drain(LONG).await.is_clean());
            undone_in_order(&server, 2);
        });
    }
}

#[test]
fn ready_is_undone_in_order_when_it_is_dropped_or_its_close_is() {
    for after in 0..30 {
        sim(async move |_| {
            let (reaper, server) = (Reaper::new(LIMIT), server());
            let ready = client(&server, &reaper).await.unwrap();
            match after {
                0 => drop(ready),
                1 => drop(ready.close()),
                _ => drop(timeout(ms(after), ready.close()).await.unwrap_err()),
            }
            let drained = reaper.drain(LONG).await;
            assert!(drained.is_clean(), "{drained}");
            undone_in_order(&server, 3);
        });
    }
}

#[test]
fn a_value_and_its_stack_can_be_kept_apart() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server());
        let (value, stack) = client(&server, &reaper).await.unwrap().into_parts();
        assert_eq!(stack.names(), ["lease", "session", "socket"]);
        drop(value);
        assert!(stack.close().await.is_clean());
        undone_in_order(&server, 3);
    });
}

#[test]
fn steps_may_borrow_and_the_whole_may_be_spawned() {
    sim(async |sim| {
        let server = server();
        let theirs = server.clone();
        let task = sim.spawn("task", async move {
            let reaper = Reaper::new(LIMIT);
            let names: Vec<String> = STEPS.map(str::to_owned).to_vec();
            let ready = connect(&reaper, async |stack| {
                let mut open = Vec::new();
                for name in &names {
                    open.push(stack.enter(name.clone(), theirs.open(name), Session::close).await?);
                }
                Ok::<_, ServerError>(open)
            });
            let ready = ready.await.unwrap();
            let by_reference = &ready;
            yield_now().await;
            assert_eq!(by_reference.len(), 3);
            ready.close().await
        });
        assert!(task.await.unwrap().is_clean());
        undone_in_order(&server, 3);
    });
}

/// Three steps, of which the last fails if it is told to.
async fn steps(world: Turns, reaper: Reaper, last: Result<(), &'static str>) -> Result<(), String> {
    let ready = connect(&reaper, async |stack| {
        let first = stack.enter("a", world.clone().open("a"), Held::close).await?;
        let second = stack.enter("b", world.clone().open("b"), Held::close).await?;
        yield_now().await;
        last?;
        Ok::<_, String>((first, second))
    });
    match ready.await {
        Ok(ready) => {
            yield_now().await;
            assert!(ready.close().await.is_clean());
        }
        Err(error) => assert!(error.undone.is_clean()),
    }
    Ok(())
}

#[test]
fn dropped_at_any_await_nothing_is_half_open() {
    for last in [Ok(()), Err("refused")] {
        let awaits = every_await::with_io(
            async || (Turns::default(), Reaper::new(LONG)),
            |(world, reaper)| steps(world.clone(), reaper.clone(), last),
            async |(world, reaper)| {
                assert!(reaper.drain(LONG).await.is_clean());
                world.nothing_open()
            },
        );
        assert!(awaits.unwrap() >= 9);
    }
}

#[test]
fn aborted_in_any_moment_on_several_threads_nothing_is_half_open() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..100 {
        runtime.block_on(async {
            let (reaper, worlds) = (Reaper::new(LONG), std::array::from_fn::<_, 8, _>(|_| Turns::default()));
            let mut clients = JoinSet::new();
            for (n, world) in worlds.iter().enumerate() {
                let last = if n % 2 == 0 { Ok(()) } else { Err("refused") };
                clients.spawn(steps(world.clone(), reaper.clone(), last));
            }
            for _ in 0..round % 17 {
                yield_now().await;
            }
            clients.shutdown().await;
            assert!(reaper.drain(LONG).await.is_clean());
            worlds.iter().for_each(|world| world.nothing_open().unwrap());
        });
    }
}

#[test]
fn a_panic_in_the_value_s_destructor_still_undoes_the_steps() {
    struct Bomb(#[expect(dead_code, reason = "it is what is lent")] Lent<Session>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new("in a destructor"));
        }
    }
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server());
        let ready = connect(&reaper, async |stack| {
            Ok::<_, ServerError>(Bomb(stack.enter("socket", server.open("socket"), Session::close).await?))
        });
        let close = ready.await.map_err(|error| error.error).ok().unwrap().close();
        assert!(AssertUnwindSafe(close).catch_unwind().await.is_err());
        assert!(reaper.drain(LONG).await.is_clean());
        undone_in_order(&server, 1);
    });
}
