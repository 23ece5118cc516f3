//! What an exit stack promises.

use common::{
    Recorder,
    server::{Call, Outcome, Server, ServerError, Session, What},
};
use futures_util::FutureExt as _;
use resources::{ExitStack, Lent, Reaper, exit_stack::Closed};
use std::{
    error::Error as _,
    future::pending,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex},
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

/// A panic that is meant: no hook prints it, and a run takes no longer for it.
fn panics(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// How long closing takes, and how it ends.
type Closing = (&'static str, u64, Outcome);

/// Some of every kind: `e` is closed first.
const MIXED: [Closing; 5] = [
    ("a", 20, Outcome::Done),
    ("b", 10, Outcome::Fail),
    ("c", 0, Outcome::Hang),
    ("d", 15, Outcome::Panic),
    ("e", 30, Outcome::Done),
];
/// When closing them begins and ends, from the beginning.
const MIXED_TIMES: [(&str, u64, u64); 5] =
    [("e", 0, 30), ("d", 30, 45), ("c", 45, 95), ("b", 95, 105), ("a", 105, 125)];
const MIXED_FAILED: [&str; 3] = [
    "d: closing it panicked: d is cursed",
    "c: it was not closed within 50ms",
    "b: it could not be closed: the server could not close b",
];

fn server(closings: &[Closing]) -> Server {
    closings.iter().fold(Server::new(&Recorder::new("")), |server, (name, takes, outcome)| {
        server.on(Call::Close, name, ms(*takes), *outcome)
    })
}

/// A stack with open sessions, which nobody uses any more.
async fn filled(reaper: &Reaper, server: &Server, closings: &[Closing]) -> ExitStack {
    let mut stack = ExitStack::new(reaper);
    for (name, ..) in closings {
        drop(stack.enter(*name, server.open(name), Session::close).await.unwrap());
    }
    stack
}

/// When the closing of each began and ended, counted from when the first began.
fn times(server: &Server) -> Vec<(String, u64, u64)> {
    let log = server.log();
    let begun: Vec<_> = log.iter().filter(|line| line.what == What::Closing).collect();
    let start = begun.first().map_or(Duration::ZERO, |line| line.at);
    let millis = |at: Duration| u64::try_from((at - start).as_millis()).unwrap();
    let times = begun.into_iter().map(|begin| {
        let over = |line: &&common::server::Line| {
            line.session == begin.session && !matches!(line.what, What::Opened | What::Closing)
        };
        let ends: Vec<_> = log.iter().filter(over).collect();
        assert_eq!(ends.len(), 1, "{} ends once: {log:?}", begin.session);
        (begin.session.clone(), millis(begin.at), millis(ends[0].at))
    });
    times.collect()
}

fn as_planned(server: &Server, planned: &[(&str, u64, u64)]) -> bool {
    let planned: Vec<_> = planned.iter().map(|(name, from, to)| ((*name).to_owned(), *from, *to)).collect();
    times(server) == planned
}

fn told(closed: &Closed) -> Vec<String> {
    closed.failed.iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_opened_last_is_closed_first_and_one_at_a_time() {
    for count in [0, 1, 2, 7] {
        sim(async move |_| {
            let names = ["a", "b", "c", "d", "e", "f", "g"];
            let takes = [20, 5, 30, 10, 0, 25, 15];
            let closings: Vec<_> = names
                .into_iter()
                .zip(takes)
                .map(|(name, takes)| (name, takes, Outcome::Done))
                .take(count)
                .collect();
            let (reaper, server) = (Reaper::new(LIMIT), server(&closings));
            let stack = filled(&reaper, &server, &closings).await;
            let (start, mut at, mut planned) = (Instant::now(), 0, Vec::new());
            for (name, takes, _) in closings.iter().rev() {
                planned.push((*name, at, at + takes));
                at += takes;
            }
            let names: Vec<_> = planned.iter().map(|(name, ..)| *name).collect();
            assert_eq!(stack.names(), names);
            let closed = stack.close().await;
            assert_eq!(
                (closed.closed, closed.failed.len()),
                (names.iter().map(|name| (*name).into()).collect(), 0)
            );
            assert!(as_planned(&server, &planned), "{:?}", times(&server));
            assert_eq!(start.elapsed(), ms(at));
            assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished", "nothing was left to it");
        });
    }
}

#[test]
fn one_that_fails_panics_or_hangs_does_not_stop_the_rest_and_each_is_named_in_order() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server(&MIXED));
        let stack = filled(&reaper, &server, &MIXED).await;
        let closed = stack.close().await;
        assert_eq!(closed.closed, ["e", "a"]);
        assert_eq!(told(&closed), MIXED_FAILED);
        assert_eq!(closed.to_string(), format!("2 closed; failed: {}", MIXED_FAILED.join("; ")));
        assert!(!closed.is_clean());
        assert!(as_planned(&server, &MIXED_TIMES), "{:?}", times(&server));
        // Who awaits it has the errors, and nobody else.
        assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished");
    });
}

#[test]
fn an_error_keeps_its_source() {
    sim(async |_| {
        let closings = [("a", 5, Outcome::Fail)];
        let (reaper, server) = (Reaper::new(LIMIT), server(&closings));
        let mut closed = filled(&reaper, &server, &closings).await.close().await;
        let failed = closed.failed.pop().unwrap();
        let source = failed.source().and_then(|source| source.downcast_ref::<ServerError>());
        assert_eq!(source.map(|source| source.session.as_str()), Some("a"));
    });
}

#[test]
fn a_closing_is_not_polled_before_its_turn() {
    sim(async |_| {
        let polled = Arc::new(Mutex::new(Vec::new()));
        let mut stack = ExitStack::new(&Reaper::new(LIMIT));
        for n in 0..3 {
            let polled = polled.clone();
            stack.push(format!("{n}"), async move {
                polled.lock().unwrap().push(n);
                sleep(ms(10)).await;
                Ok::<_, String>(())
            });
        }
        sleep(LONG).await;
        assert!(polled.lock().unwrap().is_empty());
        assert!(stack.close().await.is_clean(), "its limit has not begun before");
        assert_eq!(*polled.lock().unwrap(), [2, 1, 0]);
    });
}

#[test]
fn dropped_it_is_closed_by_the_reaper_as_it_would_have_been() {
    for way in ["stack", "future", "panic"] {
        sim(async move |_| {
            let (reaper, server) = (Reaper::new(LIMIT), server(&MIXED));
            let stack = filled(&reaper, &server, &MIXED).await;
            match way {
                "stack" => drop(stack),
                "future" => drop(stack.close()),
                _ => {
                    let body = async {
                        let _stack = stack;
                        panics("row 7")
                    };
                    assert!(AssertUnwindSafe(body).catch_unwind().await.is_err());
                }
            }
            assert_eq!(reaper.pending(), 5, "a line for each");
            let drained = reaper.drain(LONG).await;
            assert!(as_planned(&server, &MIXED_TIMES), "{way}: {:?}", times(&server));
            let failed: Vec<_> = drained.failed.iter().map(ToString::to_string).collect();
            assert_eq!((failed, drained.finished), (MIXED_FAILED.map(str::to_owned).to_vec(), 2));
        });
    }
}

#[test]
fn close_dropped_at_any_moment_goes_on_as_if_nothing_had_happened() {
    for after in 0..125 {
        sim(async move |_| {
            let sink = Arc::new(Mutex::new(Vec::new()));
            let heard = sink.clone();
            let reaper = Reaper::with_sink(LIMIT, move |lost| heard.lock().unwrap().push(lost.to_string()));
            let server = server(&MIXED);
            let stack = filled(&reaper, &server, &MIXED).await;
            assert!(timeout(ms(after), stack.close()).await.is_err());
            let drained = reaper.drain(LONG).await;
            assert!(as_planned(&server, &MIXED_TIMES), "after {after} ms: {:?}", times(&server));
            // Also those that had failed before: their report went with the caller.
            let failed: Vec<_> = drained.failed.iter().map(ToString::to_string).collect();
            assert_eq!(
                (&failed, &*sink.lock().unwrap()),
                (&MIXED_FAILED.map(str::to_owned).to_vec(), &failed)
            );
        });
    }
}

#[test]
fn what_a_drain_gives_up_is_named_one_by_one() {
    sim(async |_| {
        let closings = [("a", 10, Outcome::Done), ("b", 0, Outcome::Hang), ("c", 10, Outcome::Done)];
        let (reaper, server) = (Reaper::new(LONG), server(&closings));
        drop(filled(&reaper, &server, &closings).await);
        let drained = reaper.drain(ms(30)).await;
        assert_eq!(drained.to_string(), "1 finished; abandoned: b, a");
        let begun: Vec<_> = times(&server).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(begun, ["c", "b"], "the one behind is not begun in its last moment");
    });
}

#[test]
fn an_acquire_that_fails_or_panics_leaves_nothing_on_the_stack() {
    for outcome in [Outcome::Fail, Outcome::Panic] {
        sim(async move |_| {
            let server = server(&[]).on(Call::Open, "b", ms(10), outcome);
            let reaper = Reaper::new(LIMIT);
            let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
            let entered =
                AssertUnwindSafe(stack.enter("b", server.open("b"), Session::close)).catch_unwind().await;
            match entered {
                Ok(entered) => assert_eq!((outcome, entered.is_err()), (Outcome::Fail, true)),
                Err(_) => assert_eq!(outcome, Outcome::Panic),
            }
            assert_eq!(stack.names(), ["a"]);
            assert_eq!(stack.close().await.closed, ["a"]);
            assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished");
        });
    }
}

#[test]
fn dropped_while_it_acquires_what_is_below_is_closed_after_that() {
    for after in 0..30 {
        sim(async move |_| {
            // `b` exists from the moment in which it is asked for.
            let server = server(&[]).on(Call::Open, "b", ms(30), Outcome::Done).opens_at_once();
            let reaper = Reaper::new(LIMIT);
            let caller = async {
                let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
                drop(stack.enter("b", server.open("b"), Session::close).await);
                unreachable!("it is dropped before");
            };
            timeout(ms(10 + after), caller).await.unwrap_err();
            let drained = reaper.drain(LONG).await;
            assert!(drained.is_clean() && server.left_open().is_empty(), "after {after} ms: {drained}");
            assert!(
                as_planned(&server, &[("b", 0, 10), ("a", 10, 20)]),
                "after {after} ms: {:?}",
                times(&server)
            );
        });
    }
}

#[test]
fn a_stack_that_is_used_on_after_an_acquire_was_dropped_keeps_its_order() {
    sim(async |_| {
        let closings = [("a", 10, Outcome::Done), ("b", 10, Outcome::Done), ("c", 5, Outcome::Done)];
        let server = server(&closings).on(Call::Open, "b", ms(45), Outcome::Done).opens_at_once();
        let reaper = Reaper::new(LIMIT);
        let mut stack = filled(&reaper, &server, &closings[..1]).await;
        timeout(ms(5), stack.enter("b", server.open("b"), Session::close)).await.unwrap_err();
        drop(stack.enter("c", server.open("c"), Session::close).await);
        assert_eq!(stack.names(), ["c", "a"], "the reaper has b");
        let closed = stack.close().await;
        assert_eq!(closed.closed, ["c", "a"]);
        // c does not wait for b, which is opened at 45 ms, and a does: c began at 15 ms.
        assert!(as_planned(&server, &[("c", 0, 5), ("b", 30, 40), ("a", 40, 50)]), "{:?}", times(&server));
        assert!(reaper.drain(LONG).await.is_clean());
    });
}

#[test]
fn who_leaves_again_and_again_leaves_nothing_on_the_stack() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server(&[]));
        let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
        // Each takes 20 ms in all where nobody waits: no more than five are on their way at any time.
        for n in 0..100 {
            let name = format!("b{n}");
            timeout(ms(5), stack.enter(name.clone(), server.open(&name), Session::close)).await.unwrap_err();
        }
        let seen = format!("{stack:?}");
        assert!(
            (1..=5).any(|n| seen.contains(&format!("orphans: {n},"))),
            "expected: up to five, seen: {seen}"
        );
        sleep(LONG).await;
        let c = stack.enter("c", server.open("c"), Session::close).await.unwrap();
        let seen = format!("{stack:?}");
        assert!(seen.contains("orphans: 0,"), "expected: none, seen: {seen}");
        drop(c);
        assert_eq!(stack.close().await.closed, ["c", "a"]);
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn close_waits_for_what_the_reaper_has_of_the_stack() {
    sim(async |_| {
        let server = server(&[]).opens_at_once();
        let mut stack = ExitStack::new(&Reaper::new(LIMIT));
        timeout(ms(5), stack.enter("a", server.open("a"), Session::close)).await.unwrap_err();
        assert!(stack.close().await.is_clean());
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn an_acquire_that_was_dropped_and_hangs_holds_up_the_rest_for_its_limit() {
    sim(async |_| {
        let server = server(&[]).on(Call::Open, "b", ms(0), Outcome::Hang);
        let (reaper, start) = (Reaper::new(LIMIT), Instant::now());
        let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
        timeout(ms(5), stack.enter("b", server.open("b"), Session::close)).await.unwrap_err();
        drop(stack);
        let drained = reaper.drain(LONG).await;
        assert_eq!(start.elapsed(), ms(10 + 5 + 50 + 10));
        let told = "1 finished; failed: b: it was not acquired within 50ms, and may be half open";
        assert_eq!(drained.to_string(), told);
    });
}

#[test]
fn an_acquire_that_panics_where_nobody_waits_is_told_as_one() {
    sim(async |_| {
        let server = server(&[]).on(Call::Open, "a", ms(10), Outcome::Panic);
        let reaper = Reaper::new(LIMIT);
        let mut stack = ExitStack::new(&reaper);
        timeout(ms(5), stack.enter("a", server.open("a"), Session::close)).await.unwrap_err();
        assert_eq!(
            reaper.drain(LONG).await.to_string(),
            "0 finished; failed: a: acquiring it panicked, and it may be half open: a is cursed"
        );
    });
}

#[test]
fn what_is_in_use_is_waited_for_within_the_limit() {
    for (held, closed) in [(20, "2 closed"), (200, "1 closed; failed: b: it was not closed within 50ms")] {
        sim(async move |sim| {
            let server = server(&[]);
            let reaper = Reaper::new(LIMIT);
            let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
            let mut lent = stack.enter("b", server.open("b"), Session::close).await.unwrap();
            let user = sim.spawn("user", async move {
                sleep(ms(held)).await;
                lent.ask(7).await
            });
            assert_eq!(stack.close().await.to_string(), closed);
            // Whoever has it can use it, to the last.
            assert_eq!(user.await.unwrap().unwrap(), "b: 7");
            let log = server.log();
            let of_b: Vec<_> = log.iter().filter(|line| line.session == "b").map(|line| line.what).collect();
            let ends: &[What] = if held == 20 { &[What::Closing, What::Closed] } else { &[What::Left] };
            assert_eq!(of_b[1..], *ends);
        });
    }
}

#[test]
fn a_resource_can_be_used_while_its_stack_is_open() {
    sim(async |_| {
        let server = server(&[]);
        let mut stack = ExitStack::new(&Reaper::new(LIMIT));
        let mut first = stack.enter("a", server.open("a"), Session::close).await.unwrap();
        let mut second = stack.enter("b", server.open("b"), Session::close).await.unwrap();
        let both = futures_util::join!(first.ask(1), second.ask(2));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (String::from("a: 1"), String::from("b: 2")));
        assert_eq!(
            format!("{stack:?} {first:?}"),
            r#"ExitStack { names: ["b", "a"], orphans: 0, .. } Lent(Session("a"))"#
        );
        drop((first, second));
        assert!(stack.close().await.is_clean());
    });
}

#[test]
fn what_is_appended_from_another_reaper_keeps_its_limit_and_goes_to_this_one() {
    sim(async |_| {
        let closings = [("a", 10, Outcome::Done), ("b", 0, Outcome::Hang)];
        let (long, short, server) = (Reaper::new(LONG), Reaper::new(LIMIT), server(&closings));
        let mut program = filled(&long, &server, &closings[..1]).await;
        program.append(filled(&short, &server, &closings[1..]).await);
        drop(program);
        assert_eq!((long.pending(), short.pending()), (2, 0));
        assert_eq!(
            long.drain(LONG).await.to_string(),
            "1 finished; failed: b: it was not closed within 50ms"
        );
    });
}

#[test]
fn what_is_appended_is_closed_first() {
    sim(async |_| {
        let closings = [("a", 10, Outcome::Done), ("b", 10, Outcome::Done), ("c", 10, Outcome::Done)];
        let (reaper, server) = (Reaper::new(LIMIT), server(&closings));
        let mut program = filled(&reaper, &server, &closings[..1]).await;
        let set_up = filled(&reaper, &server, &closings[1..]).await;
        program.append(set_up);
        assert_eq!(reaper.pending(), 0, "the stack that was appended has nothing left to close");
        assert_eq!(program.close().await.closed, ["c", "b", "a"]);
    });
}

#[test]
fn a_destructor_that_panics_at_the_limit_is_told_and_the_rest_is_closed() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panics("in a destructor");
        }
    }
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LIMIT), server(&[]));
        let mut stack = filled(&reaper, &server, &[("a", 10, Outcome::Done)]).await;
        let bomb = Bomb;
        stack.push("bomb", async move {
            let _bomb = bomb;
            pending::<Result<(), String>>().await
        });
        let closed = stack.close().await;
        assert_eq!(told(&closed), ["bomb: closing it panicked: in a destructor"]);
        assert_eq!((closed.closed, reaper.pending()), (vec!["a".into()], 0));
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn without_its_runtime_each_is_named_as_abandoned() {
    let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
    let (server, gone) = (server(&[]), runtime());
    let (reaper, stack) = gone.block_on(async {
        let reaper = Reaper::new(LIMIT);
        let closings = [("a", 10, Outcome::Done), ("b", 10, Outcome::Done)];
        let stack = filled(&reaper, &server, &closings).await;
        (reaper, stack)
    });
    drop(gone);
    // On a thread without any runtime.
    drop(stack);
    let drained = runtime().block_on(reaper.drain(ms(1)));
    assert_eq!(drained.to_string(), "0 finished; abandoned: b, a");
}

#[test]
fn a_stack_goes_to_other_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    const fn sync<T: Sync>(value: T) -> T {
        value
    }
    sim(async |sim| {
        let server = server(&[]);
        let mut stack = sync(send(ExitStack::new(&Reaper::new(LIMIT))));
        let theirs = server.clone();
        let task = sim.spawn("task", async move {
            drop(sync(stack.enter("a", theirs.open("a"), Session::close).await.unwrap()));
            let by_reference = &stack;
            yield_now().await;
            assert_eq!(by_reference.names(), ["a"]);
            send(stack.close()).await
        });
        assert!(task.await.unwrap().is_clean());
    });
}

/// Opens and closes, in a few turns of the scheduler each, and notes what is open.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<(Vec<&'static str>, Vec<String>)>>);

pub(super) struct Held(Turns, &'static str);

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

impl Turns {
    /// Open from the first poll, and given at the last.
    pub(super) async fn open(self, name: &'static str) -> Result<Held, String> {
        self.0.lock().unwrap().0.push(name);
        turns(2).await;
        Ok(Held(self, name))
    }

    /// Whether all was closed, each by itself, the last one first.
    pub(super) fn nothing_open(&self) -> Result<(), String> {
        let (open, wrong) = &*self.0.lock().unwrap();
        if open.is_empty() && wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("open: {open:?}, wrong: {wrong:?}"))
        }
    }
}

impl Held {
    pub(super) async fn close(self) -> Result<(), String> {
        turns(2).await;
        let (open, wrong) = &mut *self.0.0.lock().unwrap();
        if open.last() == Some(&self.1) {
            open.pop();
        } else {
            wrong.push(format!("{} was closed while {open:?} was open", self.1));
        }
        Ok(())
    }
}

#[test]
fn dropped_at_any_await_everything_is_closed_in_order() {
    let awaits = every_await::with_io(
        async || (Turns::default(), Reaper::new(LONG)),
        |(world, reaper)| {
            let (world, reaper) = (world.clone(), reaper.clone());
            async move {
                let mut stack = ExitStack::new(&reaper);
                let first: Lent<Held> = stack.enter("a", world.clone().open("a"), Held::close).await?;
                let second = stack.enter("b", world.clone().open("b"), Held::close).await?;
                turns(1).await;
                drop((first, second));
                stack.push("nothing", turns(2).map(Ok::<_, String>));
                assert!(stack.close().await.is_clean());
                Ok::<_, String>(())
            }
        },
        async |(world, reaper)| {
            assert!(reaper.drain(LONG).await.is_clean());
            world.nothing_open()
        },
    );
    assert!(awaits.unwrap() >= 11);
}

#[test]
fn aborted_in_any_moment_on_several_threads_everything_is_closed_in_order() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..100 {
        runtime.block_on(async {
            let (reaper, worlds) = (Reaper::new(LONG), std::array::from_fn::<_, 8, _>(|_| Turns::default()));
            let mut clients = JoinSet::new();
            for world in &worlds {
                let (world, reaper) = (world.clone(), reaper.clone());
                clients.spawn(async move {
                    let mut stack = ExitStack::new(&reaper);
                    drop(stack.enter("a", world.clone().open("a"), Held::close).await);
                    drop(stack.enter("b", world.clone().open("b"), Held::close).await);
                    assert!(stack.close().await.is_clean());
                });
            }
            turns(round % 17).await;
            clients.shutdown().await;
            assert!(reaper.drain(LONG).await.is_clean());
            worlds.iter().for_each(|world| world.nothing_open().unwrap());
        });
    }
}
