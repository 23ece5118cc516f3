//! What a scope, its guard and its reaper promise.

use common::{
    Recorder,
    server::{Call, Outcome, Server, ServerError, Session, What},
};
use futures_util::{FutureExt as _, poll};
use resources::{
    CloseError, Reaper, ScopeError, Scoped, scope,
    scope::{AFTER_ABORT, REMEMBERED},
};
use std::{
    fmt,
    future::{pending, ready},
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
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

const LONG: Duration = Duration::from_secs(60);

/// A panic that is meant: no hook prints it, and a run takes no longer for it.
fn panics(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

fn server() -> Server {
    Server::new(&Recorder::new(""))
}

type End<T, B = ServerError> = Result<T, ScopeError<T, B, ServerError>>;

/// Opens `a`, asks it for 7, closes it: 10 ms each.
async fn asked(reaper: &Reaper, server: &Server) -> End<String> {
    scope(reaper, "session", server.open("a"), async |session| session.ask(7).await, Session::close).await
}

/// What the server saw, and when.
fn log(server: &Server) -> Vec<(What, u64)> {
    let millis = |at: Duration| u64::try_from(at.as_millis()).expect("a short run");
    server.log().into_iter().map(|line| (line.what, millis(line.at))).collect()
}

/// What was told where nobody waited.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn reaper(&self, limit: Duration) -> Reaper {
        let told = self.clone();
        Reaper::with_sink(limit, move |lost| told.note(lost.to_string()))
    }

    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn it_acquires_uses_and_releases_and_returns_when_that_has_ended() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LONG), server());
        assert_eq!(asked(&reaper, &server).await.unwrap(), "a: 7");
        assert_eq!(log(&server), [(What::Opened, 10), (What::Closing, 20), (What::Closed, 30)]);
        // The reaper had nothing to do with it.
        assert_eq!((reaper.pending(), reaper.drain(LONG).await.finished), (0, 0));
    });
}

#[test]
fn after_an_error_of_the_body_it_is_released_and_awaited_too() {
    sim(async |_| {
        let server = server().on(Call::Ask, "a", ms(10), Outcome::Fail);
        let ended = asked(&Reaper::new(LONG), &server).await;
        assert!(matches!(ended, Err(ScopeError::Body { body, release: None }) if body.call == Call::Ask));
        assert_eq!(log(&server), [(What::Opened, 10), (What::Closing, 20), (What::Closed, 30)]);
    });
}

#[test]
fn a_panic_of_the_body_goes_on_when_it_is_released() {
    sim(async |_| {
        let told = Told::default();
        let server = server().on(Call::Ask, "a", ms(10), Outcome::Panic);
        let reaper = told.reaper(LONG);
        let panic = AssertUnwindSafe(asked(&reaper, &server)).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "a is cursed");
        assert_eq!(log(&server).last(), Some(&(What::Closed, 30)));
        assert_eq!(told.all(), [""; 0]);
        // Nobody could hear of a release that failed behind it; nor of one that panicked, which ends nothing else.
        for (outcome, says) in [
            (Outcome::Fail, "session: it could not be closed"),
            (Outcome::Panic, "session: closing it panicked"),
        ] {
            let server = server.clone().on(Call::Close, "a", ms(10), outcome);
            assert!(AssertUnwindSafe(asked(&reaper, &server)).catch_unwind().await.is_err());
            assert!(told.all().last().unwrap().starts_with(says), "{:?}", told.all());
        }
        assert_eq!((told.all().len(), server.left_open().len()), (2, 0));
        // Also if the panic comes before the first await of the body.
        let early = scope(&reaper, "s", server.open("b"), async |_| panics("early"), Session::close);
        let early = early.map(|ended: End<()>| ended);
        assert!(AssertUnwindSafe(early).catch_unwind().await.is_err());
        assert_eq!(server.left_open(), [""; 0]);
    });
}

/// It panics when it is called: there is no future to be polled.
fn cursed(session: &mut Session) -> std::future::Ready<Result<(), ServerError>> {
    panics(if session.name() == "a" { "a cannot even begin" } else { "nor can another" })
}

#[test]
fn a_body_that_panics_before_it_gives_a_future_waits_for_its_release_as_well() {
    sim(async |_| {
        let told = Told::default();
        let (reaper, server) = (told.reaper(LONG), server());
        let ended = scope(&reaper, "session", server.open("a"), cursed, Session::close);
        let panic = AssertUnwindSafe(ended).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a cannot even begin"));
        assert_eq!(log(&server), [(What::Opened, 10), (What::Closing, 10), (What::Closed, 20)]);
        assert_eq!((told.all().len(), reaper.drain(LONG).await.finished), (0, 0));
    });
}

#[test]
fn the_error_of_releasing_hides_neither_the_error_of_the_body_nor_its_value() {
    sim(async |_| {
        let told = Told::default();
        let reaper = told.reaper(LONG);
        let fails = server().on(Call::Close, "a", ms(10), Outcome::Fail);
        let ended = asked(&reaper, &fails).await.unwrap_err();
        assert_eq!(
            ended.to_string(),
            "the work is done, but then: it could not be closed: the server could not close a"
        );
        assert!(matches!(ended, ScopeError::NotReleased { value, .. } if value == "a: 7"));

        let both = fails.on(Call::Ask, "a", ms(10), Outcome::Fail);
        let ended = asked(&reaper, &both).await.unwrap_err();
        assert_eq!(
            ended.to_string(),
            "the server could not answer a; and then it could not be closed: the server could not close a"
        );
        let ScopeError::Body { body, release: Some(CloseError::Failed(release)) } = ended else {
            panic!("{ended}")
        };
        assert_eq!((body.call, release.call), (Call::Ask, Call::Close));

        // A panic of releasing is an error, also where it comes before the future is made.
        let release = |_| -> std::future::Ready<_> { panics("cannot even begin") };
        let ended: End<u32> = scope(&reaper, "s", both.open("b"), async |_| Ok(7), release).await;
        let Err(ScopeError::NotReleased { value: 7, release: CloseError::Panicked { message } }) = ended
        else {
            panic!("{ended:?}")
        };
        assert_eq!(message, "cannot even begin");
        // Who awaits is told; nobody else.
        assert_eq!(told.all(), [""; 0]);
        assert!(reaper.drain(LONG).await.is_clean());
    });
}

#[test]
fn what_was_not_acquired_is_not_used_and_not_released() {
    sim(async |_| {
        let reaper = Reaper::new(LONG);
        let server = server().on(Call::Open, "a", ms(10), Outcome::Fail);
        let ended = asked(&reaper, &server).await;
        assert!(matches!(ended, Err(ScopeError::NotAcquired(error)) if error.call == Call::Open));
        assert_eq!(log(&server), [(What::NotOpened, 10)]);
        let server = server.on(Call::Open, "a", ms(10), Outcome::Panic);
        assert!(AssertUnwindSafe(asked(&reaper, &server)).catch_unwind().await.is_err());
        assert_eq!((log(&server).len(), reaper.pending()), (2, 0));
    });
}

#[test]
fn dropped_in_any_moment_it_is_released_exactly_once_and_at_once() {
    for early in [false, true] {
        for after in 0..=31 {
            sim(async move |_| {
                let (reaper, server) = (Reaper::new(LONG), server());
                let server = if early { server.opens_at_once() } else { server };
                let ended = timeout(ms(after), asked(&reaper, &server)).await;
                let drained = reaper.drain(LONG).await;
                assert!(drained.is_clean());
                assert_eq!(drained.finished, usize::from(ended.is_err()));
                // In the body its release begins with the drop; before it, when it was acquired; in it, it goes on.
                let closing = after.clamp(10, 20);
                let opened = if early { 0 } else { 10 };
                let whole = [(What::Opened, opened), (What::Closing, closing), (What::Closed, closing + 10)];
                assert_eq!(log(&server), whole, "dropped after {after} ms");
            });
        }
    }
}

#[test]
fn the_body_is_dropped_before_it_is_released() {
    struct OnDrop(Server, Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.1.store(log(&self.0).len(), SeqCst);
        }
    }
    sim(async |_| {
        let (reaper, server, seen) = (Reaper::new(LONG), server(), Arc::default());
        let body = async |_: &mut Session| {
            let _in_the_body = OnDrop(server.clone(), Arc::clone(&seen));
            pending::<Result<(), ServerError>>().await
        };
        timeout(ms(15), scope(&reaper, "s", server.open("a"), body, Session::close)).await.unwrap_err();
        assert!(reaper.drain(LONG).await.is_clean());
        assert_eq!((seen.load(SeqCst), log(&server).len()), (1, 3), "only opened by then");
    });
}

#[test]
fn releasing_has_a_limit_of_its_own_whatever_is_left_of_the_caller_s() {
    sim(async |_| {
        let told = Told::default();
        let (reaper, start) = (told.reaper(ms(50)), Instant::now());
        // Well within: the caller had 15 ms, of which none are left.
        let slow = server().on(Call::Close, "a", ms(40), Outcome::Done);
        timeout(ms(15), asked(&reaper, &slow)).await.unwrap_err();
        assert!(reaper.drain(LONG).await.is_clean());
        assert_eq!((log(&slow).last(), start.elapsed()), (Some(&(What::Closed, 55)), ms(55)));
        // Past it: dropped, and named.
        let stuck = server().on(Call::Close, "a", ms(10), Outcome::Hang);
        timeout(ms(15), asked(&reaper, &stuck)).await.unwrap_err();
        assert_eq!(reaper.drain(LONG).await.failed.len(), 1);
        assert_eq!(log(&stuck).last(), Some(&(What::Left, 65)));
        assert_eq!(told.all(), ["session: it was not closed within 50ms"]);
        // The one who waits is told.
        let stuck = server().on(Call::Close, "a", ms(10), Outcome::Hang);
        let ended = asked(&reaper, &stuck).await;
        assert!(matches!(
            ended,
            Err(ScopeError::NotReleased { release: CloseError::TimedOut { limit }, .. }) if limit == ms(50)
        ));
        assert_eq!((log(&stuck).last(), told.all().len()), (Some(&(What::Left, 70)), 1));
    });
}

#[test]
fn handed_over_in_the_middle_releasing_goes_on_with_what_is_left_of_its_limit() {
    sim(async |_| {
        let reaper = Reaper::new(ms(50));
        let stuck = server().on(Call::Close, "a", ms(10), Outcome::Hang);
        // It begins at 20 ms, and is handed over at 40 ms.
        timeout(ms(40), asked(&reaper, &stuck)).await.unwrap_err();
        assert_eq!(reaper.pending(), 1);
        assert_eq!(reaper.drain(LONG).await.failed.len(), 1);
        assert_eq!(log(&stuck)[1..], [(What::Closing, 20), (What::Left, 70)]);
    });
}

#[test]
fn an_acquire_that_nobody_waits_for_has_a_limit_and_its_error_is_no_failure_of_a_clean_up() {
    sim(async |_| {
        let told = Told::default();
        let reaper = told.reaper(ms(50));
        let hangs = server().opens_at_once().on(Call::Open, "a", ms(10), Outcome::Hang);
        // While somebody waits, it may take as long as that takes.
        timeout(ms(500), asked(&reaper, &hangs)).await.unwrap_err();
        let drained = reaper.drain(LONG).await;
        assert_eq!(told.all(), ["session: it was not acquired within 50ms, and may be half open"]);
        assert_eq!((drained.failed.len(), log(&hangs).last()), (1, Some(&(What::Left, 550))));

        let fails = server().on(Call::Open, "a", ms(10), Outcome::Fail);
        timeout(ms(5), asked(&reaper, &fails)).await.unwrap_err();
        let drained = reaper.drain(LONG).await;
        assert_eq!((drained.finished, told.all().len()), (1, 1));
        // A release after that, too, has all of the limit.
        let slow =
            server().on(Call::Open, "a", ms(45), Outcome::Done).on(Call::Close, "a", ms(45), Outcome::Done);
        timeout(ms(1), asked(&reaper, &slow)).await.unwrap_err();
        assert_eq!(reaper.drain(LONG).await.finished, 2);
        assert_eq!(log(&slow).last(), Some(&(What::Closed, 90)));
        let fails = server().on(Call::Close, "a", ms(10), Outcome::Fail);
        timeout(ms(5), asked(&reaper, &fails)).await.unwrap_err();
        assert_eq!(
            reaper.drain(LONG).await.failed[1].error,
            "it could not be closed: the server could not close a"
        );
        // And one that panics there is told as such.
        let panics = server().on(Call::Open, "a", ms(10), Outcome::Panic);
        timeout(ms(5), asked(&reaper, &panics)).await.unwrap_err();
        assert_eq!(
            reaper.drain(LONG).await.failed[2].error,
            "acquiring it panicked, and it may be half open: a is cursed"
        );
    });
}

#[test]
fn nested_scopes_are_released_the_last_first() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LONG), server());
        let names = |server: &Server, what| {
            let lines = server.log().into_iter().filter(move |line| line.what == what);
            lines.map(|line| line.session).collect::<Vec<_>>()
        };
        let both = |body: Duration| {
            let (reaper, server) = (&reaper, &server);
            scope(
                reaper,
                "outer",
                server.open("outer"),
                async move |_| {
                    let inner = async |_: &mut Session| sleep(body).map(Ok::<_, ServerError>).await;
                    scope(reaper, "inner", server.open("inner"), inner, Session::close).await
                },
                Session::close,
            )
        };
        both(ms(10)).await.unwrap();
        assert_eq!(names(&server, What::Closed), ["inner", "outer"]);
        // Where nobody waits both are closed, and do not wait for each other: an order is what an exit stack is for.
        timeout(ms(25), both(LONG)).await.unwrap_err();
        assert!(reaper.drain(LONG).await.is_clean());
        let closing = names(&server, What::Closing).split_off(2);
        assert!(closing.iter().any(|name| name == "inner") && closing.iter().any(|name| name == "outer"));
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn a_guard_lends_and_closes_and_dropped_hands_over() {
    sim(async |_| {
        let told = Told::default();
        let (reaper, server) = (told.reaper(LONG), server());
        let mut guard = Scoped::acquire(&reaper, "a", server.open("a"), Session::close).await.unwrap();
        assert_eq!(guard.name(), "a");
        assert_eq!(guard.ask(7).await.unwrap(), "a: 7");
        assert_eq!(format!("{guard:?}"), r#"Scoped { name: "a", resource: Some(Session("a")), .. }"#);
        guard.close().await.unwrap();
        assert_eq!((log(&server).last(), reaper.drain(LONG).await.finished), (Some(&(What::Closed, 30)), 0));

        // Dropped; its `close` dropped before it has begun, and in the middle.
        let session = server.open("b").await.unwrap();
        drop(Scoped::new(&reaper, "b", session, Session::close));
        let guard = Scoped::acquire(&reaper, "c", server.open("c"), Session::close).await.unwrap();
        drop(guard.close());
        let guard = Scoped::acquire(&reaper, "d", server.open("d"), Session::close).await.unwrap();
        timeout(ms(5), guard.close()).await.unwrap_err();
        assert_eq!((reaper.drain(LONG).await.finished, server.left_open().len()), (3, 0));
        let closed = server.log().into_iter().filter(|line| line.what == What::Closed).count();
        assert_eq!((closed, told.all().len()), (4, 0));
    });
}

#[test]
fn a_panic_while_a_guard_is_held_releases_it() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LONG), server());
        let holds = async {
            let _guard = Scoped::acquire(&reaper, "a", server.open("a"), Session::close).await.unwrap();
            panics("with a guard")
        };
        assert!(AssertUnwindSafe(holds).catch_unwind().await.is_err());
        assert_eq!((reaper.drain(LONG).await.finished, server.left_open().len()), (1, 0));
    });
}

#[test]
fn what_is_shielded_runs_once_and_is_told_once_by_whoever_has_it() {
    sim(async |_| {
        let told = Told::default();
        let (reaper, runs) = (told.reaper(ms(50)), Arc::new(AtomicUsize::new(0)));
        let fails = |after| {
            let runs = runs.clone();
            async move {
                runs.fetch_add(1, SeqCst);
                sleep(ms(after)).await;
                Err::<(), _>("no such lease")
            }
        };
        assert!(matches!(reaper.shield("a", fails(10)).await, Err(CloseError::Failed("no such lease"))));
        assert_eq!((told.all().len(), reaper.drain(LONG).await.finished), (0, 0));
        drop(reaper.shield("never polled", fails(10)));
        assert_eq!((reaper.pending(), runs.load(SeqCst)), (1, 1), "it has not begun");
        timeout(ms(5), reaper.shield("half way", fails(10))).await.unwrap_err();
        assert_eq!((reaper.pending(), runs.load(SeqCst)), (2, 3));
        assert_eq!(reaper.drain(LONG).await.failed.len(), 2);
        assert_eq!((told.all().len(), runs.load(SeqCst)), (2, 3));
        // One that panics is not handed over to be polled again.
        let mut panicking = Box::pin(
            reaper.shield("panics", async { panics("cursed") }).map(|e: Result<(), CloseError<String>>| e),
        );
        assert!(matches!(panicking.as_mut().await, Err(CloseError::Panicked { .. })));
        drop(panicking);
        let mut ended = reaper.shield("ended", async { Ok::<_, String>(()) });
        (&mut ended).await.unwrap();
        assert!(AssertUnwindSafe(ended).catch_unwind().await.is_err(), "polled after its end");
        assert_eq!((reaper.pending(), told.all().len()), (0, 2));
    });
}

#[test]
fn a_drain_waits_for_what_is_handed_over_meanwhile_and_says_what_became_of_all() {
    sim(async |_| {
        let (reaper, start) = (Reaper::new(ms(50)), Instant::now());
        assert_eq!(reaper.drain(LONG).await.to_string(), "0 finished");
        assert_eq!(start.elapsed(), Duration::ZERO, "nothing to wait for");
        let (inner, last) = (reaper.clone(), reaper.clone());
        reaper.finish("first", async move {
            sleep(ms(10)).await;
            inner.finish("second", async move {
                sleep(ms(10)).await;
                Err::<(), _>("no such lease")
            });
            Ok::<_, String>(())
        });
        reaper.finish("third", async move { panics("cursed") as Result<(), String> });
        reaper.finish("hangs", pending::<Result<(), String>>());
        assert_eq!(reaper.pending(), 3);
        let drained = reaper.drain(LONG).await;
        assert_eq!(start.elapsed(), ms(50), "when the last has ended");
        assert_eq!(
            drained.to_string(),
            "1 finished; failed: third: closing it panicked: cursed, second: it could not be closed: no such lease, \
             hangs: it was not closed within 50ms"
        );
        // It closes nothing.
        last.finish("late", ready(Ok::<_, String>(())));
        assert_eq!(reaper.drain(LONG).await.finished, 2);
    });
}

#[test]
fn what_has_not_ended_in_time_is_aborted_dropped_and_named() {
    sim(async |_| {
        let (reaper, held, start) = (Reaper::new(LONG), Arc::new(()), Instant::now());
        for name in ["stuck", "slow"] {
            let held = held.clone();
            reaper.finish(name, async move {
                sleep(ms(100)).await;
                drop(held);
                Ok::<_, String>(())
            });
        }
        reaper.finish(String::from("quick"), sleep(ms(10)).map(Ok::<_, String>));
        let drained = reaper.drain(ms(50)).await;
        assert_eq!(
            (drained.finished, drained.abandoned.clone(), drained.is_clean()),
            (1, vec!["stuck".into(), "slow".into()], false)
        );
        assert_eq!((start.elapsed(), Arc::strong_count(&held), reaper.pending()), (ms(50), 1, 0));
        assert_eq!(reaper.drain(LONG).await, drained, "told again");
        // With no time at all, nothing is waited for.
        reaper.finish("too late", pending::<Result<(), String>>());
        assert_eq!(reaper.drain(Duration::ZERO).await.abandoned.len(), 3);
        assert_eq!(start.elapsed(), ms(50));
    });
}

#[test]
fn what_is_aborted_is_pending_until_its_destructors_have_ended() {
    struct OnDrop(Reaper, Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.1.store(self.0.pending(), SeqCst);
        }
    }
    sim(async |_| {
        let (reaper, pending_then) = (Reaper::new(LONG), Arc::new(AtomicUsize::new(9)));
        let held = OnDrop(reaper.clone(), pending_then.clone());
        reaper.finish("stuck", async move {
            let _held = held;
            pending::<Result<(), String>>().await
        });
        sleep(ms(1)).await;
        assert_eq!(reaper.drain(ms(5)).await.abandoned, ["stuck"]);
        assert_eq!(pending_then.load(SeqCst), 1);
    });
}

#[test]
fn a_drain_that_is_dropped_aborts_nothing_and_loses_nothing() {
    sim(async |_| {
        let reaper = Reaper::new(LONG);
        reaper.finish("fails", ready(Err::<(), _>("no such lease")));
        reaper.finish("slow", sleep(ms(100)).map(Ok::<_, String>));
        timeout(ms(20), reaper.drain(ms(30))).await.unwrap_err();
        sleep(ms(20)).await;
        assert_eq!(reaper.pending(), 1);
        let drained = reaper.drain(LONG).await;
        assert_eq!((drained.finished, drained.failed.len(), drained.abandoned.len()), (1, 1, 0));
    });
}

#[test]
fn a_destructor_that_hands_over_while_it_is_aborted_is_drained_too() {
    sim(async |_| {
        let (reaper, server) = (Reaper::new(LONG), server());
        let (inner, session) = (reaper.clone(), server.open("a").await.unwrap());
        reaper.finish("outer", async move {
            let _guard = Scoped::new(&inner, "inner", session, Session::close);
            pending::<Result<(), String>>().await
        });
        let drained = reaper.drain(ms(5)).await;
        assert_eq!(drained.to_string(), "1 finished; abandoned: outer");
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn what_an_aborted_clean_up_hands_over_is_aborted_and_named_too() {
    sim(async |_| {
        let (reaper, ended) = (Reaper::new(LONG), Told::default());
        // A guard in a guard in a guard: each is handed over when the one around it is dropped.
        let mut held: Box<dyn Send> = Box::new(());
        for name in ["third", "second", "first"] {
            let ended = ended.clone();
            held = Box::new(Scoped::new(&reaper, name, held, async move |_inner| {
                sleep(LONG).await;
                ended.note(name);
                Ok::<_, String>(())
            }));
        }
        drop(held);
        let start = Instant::now();
        let drained = reaper.drain(ms(10)).await;
        assert_eq!(drained.abandoned, ["first", "second", "third"]);
        assert_eq!(
            (reaper.pending(), start.elapsed()),
            (0, ms(10) + AFTER_ABORT / 2),
            "nothing runs on behind the report"
        );
        sleep(LONG).await;
        assert_eq!((ended.all().len(), reaper.drain(LONG).await), (0, drained));
    });
}

/// Panics when it is dropped, as what a panic carries may.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panics("the payload");
    }
}

/// An error that can't be told.
struct Untold;

impl fmt::Display for Untold {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        resume_unwind(Box::new(Bomb))
    }
}

#[test]
fn what_a_panic_carries_keeps_no_line_in_the_ledger() {
    sim(async |_| {
        let reaper = Reaper::with_sink(LONG, |_| resume_unwind(Box::new(Bomb)));
        reaper.finish("panics", async { resume_unwind(Box::new(Bomb)) as Result<(), String> });
        reaper.finish("fails", ready(Err::<(), _>("no such lease")));
        reaper.finish("can't be told", ready(Err::<(), _>(Untold)));
        let opening = async {
            sleep(ms(10)).await;
            resume_unwind(Box::new(Bomb)) as Result<(), String>
        };
        timeout(ms(5), Scoped::acquire(&reaper, "opens", opening, |()| ready(Ok(())))).await.unwrap_err();
        sleep(ms(20)).await;
        let drained = reaper.drain(ms(5)).await;
        assert_eq!((reaper.pending(), drained.failed.len(), drained.abandoned.len()), (0, 4, 0));
    });
}

#[test]
fn what_blocks_its_thread_is_named_and_not_waited_for_for_ever() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (free, blocked) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let reaper = runtime.block_on(async { Reaper::new(LONG) });
    reaper.finish("blocks", async move {
        tell.send(()).unwrap();
        blocked.recv().unwrap_err();
        Ok::<_, String>(())
    });
    told.recv().unwrap();
    // From another runtime, the clock of which need not be waited for.
    common::clock::paused(async {
        let start = Instant::now();
        let drained = reaper.drain(ms(20)).await;
        assert_eq!((drained.abandoned, reaper.pending()), (vec!["blocks".into()], 1));
        assert_eq!(start.elapsed(), ms(20) + AFTER_ABORT);
    });
    drop(free);
}

#[test]
fn names_are_kept_of_the_latest_only() {
    sim(async |_| {
        let (told, heard) = (Told::default(), Arc::new(AtomicUsize::new(0)));
        let counted = heard.clone();
        let reaper = Reaper::with_sink(LONG, move |_| {
            counted.fetch_add(1, SeqCst);
            // A sink that panics is nobody else's concern.
            panics("the log is full");
        });
        for n in 0..REMEMBERED + 5 {
            reaper.finish(n.to_string(), ready(Err::<(), _>("no such lease")));
        }
        let drained = reaper.drain(LONG).await;
        assert_eq!((drained.failed.len(), drained.forgotten, drained.finished), (REMEMBERED, 5, 0));
        assert_eq!((drained.failed[0].name.as_ref(), heard.load(SeqCst)), ("5", REMEMBERED + 5));
        assert!(drained.to_string().ends_with("; and 5 more, whose names were not kept"));
        for n in 0..REMEMBERED + 1 {
            reaper.finish(n.to_string(), pending::<Result<(), String>>());
        }
        let drained = reaper.drain(Duration::ZERO).await;
        assert_eq!((drained.abandoned.len(), drained.forgotten, told.all().len()), (REMEMBERED, 6, 0));
    });
}

#[test]
fn a_runtime_that_is_gone_leaves_names_and_no_panic() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (reaper, server) = runtime.block_on(async { (Reaper::new(LONG), server()) });
    // Begun, and not begun; and a scope whose task goes with the runtime, in its body.
    reaper.finish("half done", pending::<Result<(), String>>());
    runtime.block_on(turns(3));
    let (theirs, session) = (reaper.clone(), server.open("a"));
    drop(runtime.spawn(async move {
        let slow = async |_: &mut Session| pending::<Result<(), ServerError>>().await;
        drop(scope(&theirs, "in its body", session, slow, Session::close).await);
    }));
    runtime.block_on(async { sleep(ms(30)).await });
    reaper.finish("never polled", pending::<Result<(), String>>());
    drop(runtime);
    let held = Arc::new(());
    let theirs = held.clone();
    reaper.finish("late", async move {
        drop(theirs);
        Ok::<_, String>(())
    });
    assert_eq!((Arc::strong_count(&held), reaper.pending()), (1, 0), "dropped at once");
    let other = Builder::new_current_thread().enable_time().build().unwrap();
    let mut drained = other.block_on(reaper.drain(LONG));
    drained.abandoned.sort();
    assert_eq!(drained.abandoned, ["half done", "in its body", "late", "never polled"]);
    assert_eq!((drained.finished, server.left_open()), (0, vec!["a".to_owned()]));
}

#[test]
fn a_reaper_takes_over_on_any_thread_and_needs_a_runtime_only_to_be_made() {
    assert!(std::panic::catch_unwind(|| Reaper::new(LONG)).is_err());
    let bare = Builder::new_current_thread().build().unwrap();
    let _inside = bare.enter();
    assert!(std::panic::catch_unwind(|| Reaper::new(LONG)).is_err(), "no timers, no limit");
    drop(_inside);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let reaper = runtime.block_on(async { Reaper::new(LONG) });
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| reaper.finish("elsewhere", yield_now().map(Ok::<_, String>)));
        }
    });
    assert_eq!(runtime.block_on(reaper.drain(LONG)).finished, 4);
}

/// A session that needs no clock: what takes time takes turns.
#[derive(Clone, Default)]
struct Turns {
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Turns {
    async fn open(self) -> Result<Self, String> {
        // As a server does: it is open before the answer is there.
        self.opened.fetch_add(1, SeqCst);
        turns(2).await;
        Ok(self)
    }

    async fn close(self) -> Result<(), String> {
        turns(2).await;
        self.closed.fetch_add(1, SeqCst);
        turns(1).await;
        Ok(())
    }

    fn even(&self) -> Result<(), String> {
        let [opened, closed] = [&self.opened, &self.closed].map(|n| n.load(SeqCst));
        if opened == closed { Ok(()) } else { Err(format!("{opened} opened, {closed} closed")) }
    }
}

async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

#[test]
fn dropped_at_any_await_scope_and_guard_and_drain_leave_nothing_open() {
    let awaits = every_await::with_io(
        async || (Turns::default(), Reaper::new(LONG)),
        |(world, reaper)| {
            let (world, reaper) = (world.clone(), reaper.clone());
            async move {
                let body = async |_: &mut Turns| {
                    turns(2).await;
                    let guard = Scoped::acquire(&reaper, "inner", world.clone().open(), Turns::close).await?;
                    turns(1).await;
                    guard.close().await.map_err(|error| error.to_string())
                };
                let ended = scope(&reaper, "outer", world.clone().open(), body, Turns::close).await;
                ended.map_err(|error| error.to_string())?;
                reaper.finish("another", turns(3).map(Ok::<_, String>));
                assert!(reaper.drain(LONG).await.is_clean());
                Ok::<_, String>(())
            }
        },
        async |(world, reaper)| {
            assert!(reaper.drain(LONG).await.is_clean());
            world.even()
        },
    );
    assert!(awaits.unwrap() >= 14);
}

#[test]
fn aborted_in_any_moment_on_several_threads_nothing_is_left_open() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..200 {
        runtime.block_on(async {
            let (reaper, world) = (Reaper::new(LONG), Turns::default());
            let mut clients = JoinSet::new();
            for n in 0..8 {
                let (reaper, world) = (reaper.clone(), world.clone());
                clients.spawn(async move {
                    let body = async |_: &mut Turns| {
                        turns(n).await;
                        if n == 7 { panics("in the body") } else { Ok::<_, String>(()) }
                    };
                    scope(&reaper, "session", world.open(), body, Turns::close).await.is_ok()
                });
            }
            turns(round % 24).await;
            clients.shutdown().await;
            let drained = reaper.drain(LONG).await;
            assert!(drained.is_clean(), "{drained}");
            assert_eq!(world.even(), Ok(()));
        });
    }
}

#[test]
fn its_futures_can_be_spawned_its_body_may_borrow_and_its_errors_are_errors() {
    fn spawnable<T: Send>(value: T) -> T {
        value
    }
    fn error(error: &(dyn std::error::Error + Send + Sync)) -> String {
        error.source().expect("what it comes from").to_string()
    }
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Reaper>();
    shared::<Scoped<Session, ServerError>>();
    #[derive(Debug)]
    struct NotDebug;
    impl fmt::Display for NotDebug {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an error of one's own")
        }
    }
    sim(async |sim| {
        let (reaper, server) = (Reaper::new(LONG), server());
        let (inner, theirs) = (reaper.clone(), server.clone());
        let task = sim.spawn("scope", async move {
            let (mut answers, wanted) = (Vec::new(), vec![7, 8]);
            let body = async |session: &mut Session| {
                for id in &wanted {
                    answers.push(session.ask(*id).await?);
                }
                Ok::<_, ServerError>(())
            };
            spawnable(scope(&inner, "session", theirs.open("a"), body, Session::close)).await.unwrap();
            let guard = Scoped::acquire(&inner, "guard", theirs.open("b"), Session::close).await.unwrap();
            let lent = &guard;
            yield_now().await;
            answers.push(lent.name().to_owned());
            spawnable(guard.close()).await.unwrap();
            spawnable(inner.shield("nothing", ready(Err(NotDebug)))).await.unwrap_err();
            assert!(spawnable(inner.drain(LONG)).await.is_clean());
            answers
        });
        assert_eq!(task.await.unwrap(), ["a: 7", "a: 8", "b"]);
        let server =
            server.on(Call::Ask, "a", ms(10), Outcome::Fail).on(Call::Close, "a", ms(10), Outcome::Fail);
        let ended = asked(&reaper, &server).await.unwrap_err();
        assert_eq!(error(&ended), "the server could not answer a");
        // The value need not be `Debug`.
        struct Value;
        let body = async |_: &mut Session| Ok::<_, ServerError>(Value);
        let ended = scope(&reaper, "s", server.open("a"), body, Session::close).await;
        assert!(format!("{:?}", ended.err().unwrap()).starts_with("NotReleased"));
    });
    // A pinned one is dropped where it stands.
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (reaper, world) = (Reaper::new(LONG), Turns::default());
        {
            let mut open = pin!(Scoped::acquire(&reaper, "s", world.clone().open(), Turns::close));
            assert!(poll!(&mut open).is_pending());
        }
        assert_eq!(reaper.drain(LONG).await.finished, 1);
        assert_eq!(world.even(), Ok(()));
    });
}
