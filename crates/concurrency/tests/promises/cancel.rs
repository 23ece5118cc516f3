//! What a scope promises.

use common::{Backend, Recorder, backend::CallEnd};
use concurrency::{
    Deadline, Scope,
    cancel::{AFTER_ABORT, CleanedUp, Lost, Report, WorkError},
};
use futures_util::{FutureExt as _, poll};
use std::{
    future::pending,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testing::{every_await, proof::Ledger, sim};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A panic that is meant: no hook prints it, and a run takes no longer for it.
fn panics(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// What was told where nobody waited.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn scope(&self, name: &'static str) -> Scope {
        let told = self.clone();
        Scope::new(name, move |lost: Lost| {
            told.0.lock().expect("nobody panics with it").push(lost.to_string());
        })
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// A scope in which nothing may be lost.
fn scope() -> Scope {
    Scope::new("server", |lost| panic!("{lost}"))
}

/// Notes what it is told, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().expect("nobody panics with it").push(what);
    }

    fn on_drop(&self, what: &'static str) -> impl Sized + Send + use<> {
        struct OnDrop(Log, &'static str);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.note(self.1);
            }
        }
        OnDrop(self.clone(), what)
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

#[test]
fn a_cancelled_scope_polls_nothing() {
    sim(async |_| {
        let told = Told::default();
        let scope = told.scope("server");
        assert_eq!(scope.run("work", async { 7 }).await, Ok(7));
        scope.cancel("shutdown");
        let polled = scope.run("work", async { panic!("polled") }).await;
        assert_eq!(polled.unwrap_err().to_string(), "server was cancelled: shutdown");
        let shielded = scope.shield("work", async { panic!("polled") });
        let ended: Result<(), WorkError<String>> = shielded.await;
        assert!(matches!(ended, Err(WorkError::NotBegun(cancelled)) if cancelled.reason == "shutdown"));
        // Not even in a scope that is made later, and dropped without a word.
        drop(scope.child("request").shield("work", async { Err::<(), _>("polled") }));
        assert!(scope.alive().is_empty());
        assert_eq!(told.all(), [""; 0], "what has not begun is no loss");
    });
}

#[test]
fn from_the_cancel_on_no_next_step_is_begun() {
    sim(async |sim| {
        let (scope, log) = (scope(), Log::default());
        let (inner, noted) = (scope.clone(), log.clone());
        let work = sim.spawn("work", async move {
            let _gone = noted.on_drop("dropped");
            inner
                .run("work", async {
                    sleep(ms(10)).await;
                    noted.note("next step");
                })
                .await
        });
        // Both are due in the same moment, the cancel a little earlier.
        sim.settle().await;
        tokio::time::advance(ms(10)).await;
        scope.cancel("shutdown");
        assert!(work.await.unwrap().is_err());
        assert_eq!(log.all(), ["dropped"]);
    });
}

#[test]
fn a_cancel_goes_down_and_never_up_or_sideways_and_the_first_reason_stays() {
    sim(async |sim| {
        let server = scope();
        let (first, second) = (server.child("first"), server.child("second"));
        let part = first.child("part");
        let waits = sim.spawn("waits", {
            let part = part.clone();
            async move { part.cancelled().await }
        });
        sim.settle().await;
        first.cancel("the client has left");
        assert_eq!((waits.await.unwrap().scope, part.reason()), ("part", Some("the client has left")));
        assert_eq!((server.reason(), second.reason()), (None, None));
        server.cancel("shutdown");
        server.cancel("once more");
        // Asked for the first time after both.
        assert_eq!(first.reason(), Some("the client has left"));
        second.cancel("the client has left");
        assert_eq!((second.reason(), server.reason()), (Some("shutdown"), Some("shutdown")));
        assert_eq!(server.child("late").cancelled().await.reason, "shutdown");
    });
}

#[test]
fn a_token_is_cancelled_with_its_scope_and_not_the_other_way_round() {
    sim(async |_| {
        let scope = scope();
        scope.token().cancel();
        assert_eq!((scope.reason(), scope.run("work", async { 7 }).await), (None, Ok(7)));
        let token = scope.token();
        scope.cancel("shutdown");
        token.cancelled().await;
    });
}

#[test]
fn a_guard_cancels_when_it_is_dropped_unless_it_is_disarmed() {
    sim(async |_| {
        let scope = scope();
        scope.cancel_on_drop("the client has left").disarm();
        assert_eq!(scope.reason(), None);
        let handler = async {
            let _left = scope.cancel_on_drop("the client has left");
            pending::<()>().await;
        };
        timeout(ms(10), handler).await.unwrap_err();
        assert_eq!(scope.reason(), Some("the client has left"));
        // Dropping handles cancels nothing.
        let other = Told::default().scope("other");
        let child = other.child("child");
        drop(other);
        assert_eq!(child.run("work", async { 1 }).await, Ok(1));
    });
}

#[test]
fn shielded_work_is_at_work_at_once_and_goes_on_when_nobody_waits_or_the_scope_is_cancelled() {
    sim(async |sim| {
        let (scope, log, start) = (scope(), Log::default(), Instant::now());
        let noted = log.clone();
        let shielded = scope.child("request").shield("transfer", async move {
            noted.note("debit");
            sleep(ms(20)).await;
            noted.note("credit");
            Ok::<_, String>(7)
        });
        sim.settle().await;
        assert_eq!(log.all(), ["debit"], "before anybody has awaited it");
        timeout(ms(10), shielded).await.unwrap_err();
        scope.cancel("shutdown");
        assert_eq!(scope.alive(), ["transfer"]);
        scope.gone().await;
        assert_eq!((log.all(), start.elapsed()), (vec!["debit", "credit"], ms(20)));
    });
}

#[test]
fn what_shielded_work_held_is_free_when_its_end_is_heard_of() {
    sim(async |_| {
        let (scope, held) = (scope(), Arc::new(()));
        let theirs = held.clone();
        let work = async move {
            sleep(ms(5)).await;
            drop(theirs);
            Ok::<_, String>(())
        };
        let (theirs, captured) = (held.clone(), work);
        let shielded = scope.shield("work", async move {
            let _theirs = theirs;
            captured.await
        });
        assert_eq!(Arc::strong_count(&held), 3);
        shielded.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        scope.gone().await;
    });
}

#[test]
fn an_error_that_is_awaited_is_not_told_and_any_other_is() {
    sim(async |_| {
        let told = Told::default();
        let scope = told.scope("server");
        let fails = |after| async move {
            sleep(ms(after)).await;
            Err::<(), _>("no such account")
        };
        assert!(matches!(scope.shield("awaited", fails(5)).await, Err(WorkError::Failed("no such account"))));
        assert_eq!(told.all(), [""; 0]);
        drop(scope.shield("dropped before", fails(5)));
        scope.gone().await;
        // It has ended, and its end has not been looked at.
        let unseen = scope.shield("dropped after", fails(0));
        scope.gone().await;
        drop(unseen);
        drop(scope.shield("value", async { Ok::<_, String>(7) }));
        drop(
            scope.shield("panics", async { Err::<(), _>(if ms(1) > ms(0) { panics("row 7") } else { "" }) }),
        );
        scope.gone().await;
        let all = [
            "dropped before in server: no such account",
            "dropped after in server: no such account",
            "panics in server: panicked: row 7",
        ];
        assert_eq!(told.all(), all);
    });
}

#[test]
fn a_panic_of_the_one_who_is_told_harms_nobody() {
    sim(async |_| {
        let scope = Scope::new("server", |_| panics("the log is full"));
        drop(scope.shield("work", async { Err::<(), _>("lost") }));
        scope.gone().await;
        let unseen = scope.shield("work", async { Err::<(), _>("lost") });
        scope.gone().await;
        // In a destructor that runs because of another panic, a second one would end the process.
        let body = AssertUnwindSafe(async {
            let _unseen = unseen;
            panics("first")
        });
        assert!(body.catch_unwind().await.is_err());
    });
}

/// Cleans up, slowly, and says so.
fn clean_up(
    log: &Log,
) -> impl FnOnce() -> futures_util::future::BoxFuture<'static, Result<(), &'static str>> + Send + use<> {
    let log = log.clone();
    move || {
        log.note("clean-up begins");
        async move {
            sleep(ms(20)).await;
            log.note("clean-up ends");
            Ok(())
        }
        .boxed()
    }
}

const CLEAN: [&str; 3] = ["body gone", "clean-up begins", "clean-up ends"];

#[test]
fn clean_up_runs_once_after_a_value_an_error_a_panic_and_a_cancel() {
    for (way, after) in [("value", 30), ("error", 30), ("panic", 30), ("cancel", 25)] {
        sim(async move |sim| {
            let (scope, log, start) = (scope(), Log::default(), Instant::now());
            let held = log.on_drop("body gone");
            let body = async move {
                let _held = held;
                sleep(ms(10)).await;
                match way {
                    "value" => Ok(7),
                    "error" => Err("row 7"),
                    "panic" => panics("row 8"),
                    _ => pending().await,
                }
            };
            if way == "cancel" {
                let scope = scope.clone();
                sim.spawn("cancel", async move {
                    sleep(ms(5)).await;
                    scope.cancel("shutdown");
                });
            }
            let body = scope.run("import", body);
            let work = scope.with_cleanup("import", ms(50), body, clean_up(&log));
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            assert_eq!((log.all(), start.elapsed()), (CLEAN.to_vec(), ms(after)), "{way}");
            match ended {
                Ok(CleanedUp { body, clean_up: Ok(()) }) => match body {
                    Ok(Ok(7)) => assert_eq!(way, "value"),
                    Ok(Err("row 7")) => assert_eq!(way, "error"),
                    Err(cancelled) => assert_eq!((way, cancelled.reason), ("cancel", "shutdown")),
                    other => panic!("{other:?}"),
                },
                Err(payload) => assert_eq!((way, payload.downcast_ref::<&str>()), ("panic", Some(&"row 8"))),
                other => panic!("{other:?}"),
            }
            scope.gone().await;
        });
    }
}

#[test]
fn a_scope_that_is_cancelled_still_cleans_up_and_reaches_no_body() {
    sim(async |_| {
        let (scope, log) = (scope(), Log::default());
        scope.cancel("shutdown");
        let body = async {
            sleep(ms(10)).await;
            log.note("body gone");
            7
        };
        let ended = scope.with_cleanup("import", ms(50), body, clean_up(&log)).await;
        assert_eq!((ended.body, ended.clean_up.is_ok()), (7, true));
        assert_eq!(log.all(), CLEAN);
        // What was never polled has nothing to clean up.
        drop(scope.with_cleanup("import", ms(50), async { 7 }, clean_up(&log)));
        scope.gone().await;
        assert_eq!(log.all(), CLEAN);
    });
}

#[test]
fn clean_up_runs_when_the_surrounding_budget_is_spent_and_no_second_cancel_reaches_it() {
    sim(async |sim| {
        let (scope, log, start) = (scope(), Log::default(), Instant::now());
        let held = log.on_drop("body gone");
        let body = async move {
            let _held = held;
            pending::<()>().await;
        };
        let deadline = Deadline::after("request", ms(10));
        let late = deadline.run(scope.with_cleanup("import", ms(50), body, clean_up(&log))).await;
        assert_eq!((late.unwrap_err().limit, start.elapsed()), ("request", ms(10)));
        assert_eq!(scope.alive(), ["import"], "the scope knows of the clean-up at once");
        sim.settle().await;
        scope.cancel("shutdown");
        scope.cancel("once more");
        scope.gone().await;
        assert_eq!((log.all(), start.elapsed()), (CLEAN.to_vec(), ms(30)));
    });
}

#[test]
fn clean_up_has_its_own_bound_and_neither_error_hides_the_other() {
    sim(async |_| {
        let (scope, start) = (scope(), Instant::now());
        let body = async {
            sleep(ms(500)).await;
            Err::<(), _>("row 7")
        };
        let slow = || async {
            sleep(ms(51)).await;
            Ok::<_, String>(())
        };
        let ended = scope.with_cleanup("import", ms(50), body, slow).await;
        assert_eq!((ended.body, start.elapsed()), (Err("row 7"), ms(550)));
        let WorkError::TimedOut { bound } = ended.clean_up.unwrap_err() else { panic!("not timed out") };
        assert_eq!(bound, ms(50));
        let fails = || async { Err("the lock is not ours") };
        let ended = scope.with_cleanup("import", ms(50), async { Err::<(), _>("row 7") }, fails).await;
        assert_eq!(ended.body, Err("row 7"));
        assert!(matches!(ended.clean_up, Err(WorkError::Failed("the lock is not ours"))));
    });
}

#[test]
fn a_panic_of_clean_up_is_its_error_also_before_its_future_is_there() {
    sim(async |_| {
        let scope = scope();
        let at_once = || -> std::future::Ready<Result<(), String>> { panics("no clean-up") };
        let later = || async {
            yield_now().await;
            if ms(1) > ms(0) { panics("half a clean-up") } else { Ok(()) }
        };
        for ended in [
            scope.with_cleanup("import", ms(50), async { 7 }, at_once).await,
            scope.with_cleanup("import", ms(50), async { 7 }, later).await,
        ] {
            assert_eq!(ended.body, 7);
            assert!(
                matches!(ended.clean_up, Err(WorkError::Panicked(panic)) if panic.message().ends_with("clean-up"))
            );
        }
        scope.gone().await;
    });
}

#[test]
fn an_error_of_clean_up_that_nobody_gets_is_told() {
    sim(async |_| {
        let told = Told::default();
        let scope = told.scope("server");
        let fails = || async { Err::<(), _>("the lock is not ours") };
        let dropped = scope.with_cleanup("export", ms(50), pending::<()>(), fails);
        timeout(ms(10), dropped).await.unwrap_err();
        scope.gone().await;
        // The panic goes on; the error beside it would have nobody.
        let panics = scope.with_cleanup("import", ms(50), async { panics("row 8") }, fails);
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert_eq!(
            told.all(),
            ["export in server: the lock is not ours", "import in server: the lock is not ours"]
        );
    });
}

#[test]
fn closing_waits_for_what_has_begun_and_no_longer() {
    sim(async |_| {
        let (scope, start) = (scope(), Instant::now());
        let work = |after| async move {
            sleep(ms(after)).await;
            Ok::<_, String>(())
        };
        drop(scope.child("a").shield("a", work(30)));
        drop(scope.child("b").child("c").shield("c", work(70)));
        let report = scope.close("shutdown", Duration::from_secs(10)).await;
        assert_eq!((start.elapsed(), report.to_string().as_str()), (ms(70), "closed for shutdown: 2 ended"));
        assert!(report.is_clean());
        // With nothing to wait for, it takes no time, and a grace of none is enough.
        let report = scope.close("again", Duration::ZERO).await;
        assert_eq!(
            (start.elapsed(), report.reason, report.ended, report.is_clean()),
            (ms(70), "shutdown", 0, true)
        );
    });
}

#[test]
fn at_the_end_of_the_grace_the_rest_is_aborted_waited_for_and_named() {
    sim(async |_| {
        let (told, ledger, start) = (Told::default(), Ledger::new(), Instant::now());
        let scope = told.scope("server");
        let hangs = |name: &'static str| ledger.watch(name, pending::<Result<(), String>>());
        drop(scope.shield("first", hangs("first")));
        drop(scope.child("request").shield("second", hangs("second")));
        let awaited = scope.shield("awaited", hangs("awaited"));
        let other = told.scope("other");
        let untouched = other.shield("untouched", async {
            sleep(ms(500)).await;
            Ok::<_, String>(())
        });
        let report = scope.close("shutdown", ms(40)).await;
        // No yield in between: on return they are gone.
        ledger.assert_all_ended();
        assert_eq!(start.elapsed(), ms(40));
        assert_eq!(
            (report.aborted, report.left, report.ended),
            (vec!["first", "second", "awaited"], vec![], 0)
        );
        assert!(matches!(awaited.await, Err(WorkError::Aborted)));
        assert_eq!(told.all(), ["first in server: aborted", "second in request: aborted"]);
        untouched.await.unwrap();
    });
}

#[test]
fn a_child_is_closed_without_its_parent_and_its_siblings() {
    sim(async |_| {
        let server = scope();
        let (first, second) = (server.child("first"), server.child("second"));
        let work = |after| async move {
            sleep(ms(after)).await;
            Ok::<_, String>(())
        };
        drop(first.shield("first", work(10)));
        drop(second.shield("second", work(90)));
        assert!(first.close("the client has left", ms(50)).await.is_clean());
        assert_eq!((server.alive(), server.reason()), (vec!["second"], None));
        server.gone().await;
    });
}

#[test]
fn clean_up_that_begins_with_the_abort_has_a_second_and_is_aborted_then() {
    for (takes, left) in [(ms(900), vec![]), (ms(1500), vec!["clean-up"])] {
        sim(async move |sim| {
            let (told, log, start) = (Told::default(), Log::default(), Instant::now());
            let scope = told.scope("server");
            let (inner, noted) = (scope.clone(), log.clone());
            drop(scope.shield("import", async move {
                let held = noted.on_drop("body gone");
                let body = async move {
                    let _held = held;
                    pending::<()>().await;
                };
                let clean_up = move || async move {
                    noted.note("clean-up begins");
                    sleep(takes).await;
                    noted.note("clean-up ends");
                    Ok::<_, String>(())
                };
                // No cancel reaches the body, only the abort of who holds it.
                drop(inner.with_cleanup("clean-up", Duration::MAX, body, clean_up).await);
                Ok::<_, String>(())
            }));
            sim.settle().await;
            let report = scope.close("shutdown", ms(40)).await;
            assert_eq!((report.aborted, &report.left), (vec!["import"], &left));
            assert_eq!(start.elapsed(), ms(40) + takes.min(AFTER_ABORT));
            scope.gone().await;
            assert_eq!(log.all(), CLEAN[..3 - left.len()]);
            assert_eq!(told.all().len(), 1 + left.len(), "{:?}", told.all());
        });
    }
}

#[test]
fn clean_up_is_called_once_however_close_to_it_the_abort_comes() {
    // The body ends before the grace does, with it, and with the second that clean-up has after it.
    for (grace, body) in
        [(0, 0), (40, 39), (40, 40), (40, 41), (40, 1039), (40, 1040), (40, 1041), (40, 5000)]
    {
        sim(async move |sim| {
            let (scope, called) = (Told::default().scope("server"), Arc::new(AtomicUsize::new(0)));
            let (inner, calls) = (scope.clone(), called.clone());
            let clean_up = move || {
                calls.fetch_add(1, SeqCst);
                async { Ok::<_, String>(()) }
            };
            let body = async move {
                if body > 0 {
                    sleep(ms(body)).await;
                }
            };
            let mut work =
                Box::pin(async move { inner.with_cleanup("import", ms(50), body, clean_up).await });
            // With no grace, clean-up is a task by now that nobody has polled.
            assert!(poll!(&mut work).is_pending());
            let work = sim.spawn("import", work);
            let report = scope.close("shutdown", ms(grace)).await;
            let ended = work.await.unwrap();
            assert_eq!((called.load(SeqCst), report.aborted), (1, vec![]));
            assert!(ended.clean_up.is_ok(), "{:?}", ended.clean_up);
        });
    }
}

#[test]
fn what_is_aborted_while_its_clean_up_is_at_work_or_about_to_be_is_cleaned_up() {
    for body in 35..=45 {
        sim(async move |sim| {
            let (scope, log) = (Told::default().scope("server"), Log::default());
            let (inner, held, clean_up) = (scope.clone(), log.on_drop("body gone"), clean_up(&log));
            drop(scope.shield("import", async move {
                let body = async move {
                    let _held = held;
                    sleep(ms(body)).await;
                };
                drop(inner.with_cleanup("import", ms(50), body, clean_up).await);
                Ok::<_, String>(())
            }));
            sim.settle().await;
            let report = scope.close("shutdown", ms(40)).await;
            assert_eq!((log.all(), report.left), (CLEAN.to_vec(), vec![]), "the body took {body} ms");
        });
    }
}

#[test]
fn what_ends_by_itself_is_not_said_to_be_aborted() {
    sim(async |sim| {
        let scope = scope();
        let inner = scope.clone();
        let clean_up = || async { Ok::<_, String>(()) };
        let import = sim.spawn("import", async move {
            inner.with_cleanup("import", ms(50), sleep(ms(60)), clean_up).await
        });
        sim.settle().await;
        let report = scope.close("shutdown", ms(40)).await;
        assert!(report.is_clean(), "{report}");
        assert!(import.await.unwrap().clean_up.is_ok());
    });
}

/// Its destructor takes notice of the abort, and panics.
struct Breaks;

impl Drop for Breaks {
    fn drop(&mut self) {
        panics("the buffer is not empty");
    }
}

#[test]
fn a_destructor_that_panics_at_the_abort_is_told() {
    sim(async |sim| {
        let told = Told::default();
        let scope = told.scope("server");
        let work = || async {
            let _breaks = Breaks;
            pending::<Result<(), String>>().await
        };
        drop(scope.shield("lost", work()));
        let kept = scope.shield("kept", work());
        sim.settle().await;
        let report = scope.close("shutdown", ms(40)).await;
        assert_eq!((report.aborted, report.left), (vec!["lost", "kept"], vec![]));
        let ended = kept.await;
        assert!(matches!(ended, Err(WorkError::Panicked(_))), "{ended:?}");
        assert_eq!(told.all(), ["lost in server: panicked: the buffer is not empty"]);
    });
}

#[test]
fn clean_up_that_is_aborted_is_dropped_before_the_close_returns() {
    sim(async |sim| {
        let (scope, log, start) = (Told::default().scope("server"), Log::default(), Instant::now());
        let (inner, held) = (scope.clone(), log.on_drop("clean-up gone"));
        let clean_up = move || async move {
            let _held = held;
            pending::<Result<(), String>>().await
        };
        drop(scope.shield("import", async move {
            drop(inner.with_cleanup("import", Duration::MAX, pending::<()>(), clean_up).await);
            Ok::<_, String>(())
        }));
        // It is left for another reason, and is not waited for once more.
        let mut unpolled = pin!(scope.run("unpolled", pending::<()>()));
        assert!(poll!(&mut unpolled).is_pending());
        sim.settle().await;
        let report = scope.close("shutdown", ms(40)).await;
        assert_eq!(log.all(), ["clean-up gone"]);
        assert_eq!((report.left, start.elapsed()), (vec!["unpolled", "import"], ms(40) + AFTER_ABORT));
    });
}

#[test]
fn without_timers_no_body_that_is_to_be_cleaned_up_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (scope, log) = (scope(), Log::default());
    let work = scope.with_cleanup("import", ms(50), async { log.note("body") }, clean_up(&log));
    let ended = runtime.block_on(AssertUnwindSafe(work).catch_unwind());
    assert!(ended.is_err());
    assert_eq!((log.all(), scope.alive()), (vec![], vec![]));
}

#[test]
fn what_is_cut_off_by_the_end_of_the_runtime_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = Told::default();
    let scope = told.scope("server");
    let inside = runtime.enter();
    drop(scope.shield("half done", pending::<Result<(), String>>()));
    let kept = scope.shield("kept", pending::<Result<(), String>>());
    runtime.block_on(turns(2));
    drop(scope.shield("never polled", pending::<Result<(), String>>()));
    drop(inside);
    drop(runtime);
    let mut all = told.all();
    all.sort();
    assert_eq!(all, ["half done in server: aborted", "never polled in server: aborted"]);
    assert!(matches!(kept.now_or_never(), Some(Err(WorkError::Aborted))));
    assert!(scope.alive().is_empty());
}

#[test]
fn what_nobody_polls_is_named_and_not_waited_for_for_ever() {
    sim(async |_| {
        let (scope, start) = (scope(), Instant::now());
        let mut unpolled = pin!(scope.run("unpolled", pending::<()>()));
        assert!(poll!(&mut unpolled).is_pending());
        let report: Report = scope.close("shutdown", ms(40)).await;
        assert_eq!((report.aborted, report.left), (vec![], vec!["unpolled"]));
        assert_eq!(start.elapsed(), ms(40) + AFTER_ABORT);
    });
}

#[test]
fn dropped_at_any_await_run_and_close_and_gone_leave_nothing_behind() {
    let awaits = every_await(
        || (Backend::new(&Recorder::new("")), scope()),
        |(backend, scope)| {
            let (backend, scope) = (backend.clone(), scope.clone());
            async move {
                let reply =
                    scope.run("fetch", async { (backend.fetch(1).await, backend.fetch(2).await) }).await;
                scope.gone().await;
                assert!(scope.close("shutdown", ms(5)).await.is_clean());
                assert_eq!(scope.cancelled().await.reason, "shutdown");
                reply.map(drop)
            }
        },
        async |(backend, scope)| match (backend.in_flight(), scope.alive().is_empty()) {
            (0, true) => Ok(()),
            (n, _) => Err(format!("{n} calls in flight, {:?} alive", scope.alive())),
        },
    );
    assert!(awaits.unwrap() >= 4);
}

/// Counts are read without a clock: what takes time takes turns here.
async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

#[test]
fn dropped_at_any_await_what_is_shielded_ends_and_what_is_to_be_cleaned_up_is_cleaned_up() {
    #[derive(Clone, Default)]
    struct World {
        begun: Arc<AtomicUsize>,
        done: Arc<AtomicUsize>,
        cleaned: Arc<AtomicUsize>,
        body_in: Arc<AtomicUsize>,
    }
    let awaits = every_await::with_io(
        async || (World::default(), scope()),
        |(world, scope)| {
            let (world, scope) = (world.clone(), scope.clone());
            async move {
                let (mine, cleaned) = (world.clone(), world.cleaned.clone());
                let inner = scope.clone();
                let body = async move {
                    mine.body_in.fetch_add(1, SeqCst);
                    turns(2).await;
                    let shielded = inner.shield("transfer", async move {
                        mine.begun.fetch_add(1, SeqCst);
                        turns(3).await;
                        mine.done.fetch_add(1, SeqCst);
                        Ok::<_, String>(())
                    });
                    turns(1).await;
                    shielded.await
                };
                let clean_up = || async move {
                    turns(3).await;
                    cleaned.fetch_add(1, SeqCst);
                    Ok::<_, String>(())
                };
                drop(scope.with_cleanup("request", ms(60_000), body, clean_up).await);
            }
        },
        async |(world, scope)| {
            scope.gone().await;
            let [body, begun, done, cleaned] =
                [world.body_in, world.begun, world.done, world.cleaned].map(|n| n.load(SeqCst));
            if done == begun && cleaned == body && body <= 1 {
                Ok(())
            } else {
                Err(format!("{begun} begun, {done} done; {body} bodies, {cleaned} cleaned up"))
            }
        },
    );
    assert!(awaits.unwrap() >= 5);
}

#[test]
fn dropped_in_any_moment_the_calls_of_a_body_end_before_its_clean_up_begins() {
    for after in 0..60 {
        sim(async move |_| {
            let scope = scope();
            let backend = Backend::new(&Recorder::new(""));
            let (body, last) = (backend.clone(), backend.clone());
            let body = async move { (body.fetch(1).await, body.fetch(2).await) };
            let clean_up = move || async move { last.fetch(9).await.map(drop) };
            drop(timeout(ms(after), scope.with_cleanup("request", ms(50), body, clean_up)).await);
            scope.gone().await;
            let calls = backend.calls();
            let cleans: Vec<_> = calls.iter().filter(|call| call.id == 9).collect();
            let [clean] = cleans.as_slice() else { panic!("{calls:?}") };
            assert!(matches!(clean.ended, Some((_, CallEnd::Replied))));
            assert!(
                calls
                    .iter()
                    .all(|call| call.id == 9 || call.ended.is_some_and(|(at, _)| at <= clean.started))
            );
            assert_eq!(clean.started, ms(after).min(ms(20)));
        });
    }
}

#[test]
fn nothing_begins_once_the_scope_is_closed_on_several_threads_either() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..200 {
        runtime.block_on(async {
            let server = scope();
            let alive = Arc::new(AtomicUsize::new(0));
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (server, alive) = (server.clone(), alive.clone());
                clients.spawn(async move {
                    let mut begun = 0;
                    loop {
                        let alive = alive.clone();
                        let work = server.child("request").shield("work", async move {
                            alive.fetch_add(1, SeqCst);
                            yield_now().await;
                            alive.fetch_sub(1, SeqCst);
                            Ok::<_, String>(())
                        });
                        match work.await {
                            Err(WorkError::NotBegun(cancelled)) => return (begun, cancelled.reason),
                            ended => ended.unwrap(),
                        }
                        begun += 1;
                    }
                });
            }
            turns(round % 20).await;
            let report = server.close("shutdown", Duration::from_secs(60)).await;
            assert_eq!((alive.load(SeqCst), report.is_clean()), (0, true));
            while let Some(client) = clients.join_next().await {
                assert_eq!(client.unwrap().1, "shutdown");
            }
            assert_eq!(alive.load(SeqCst), 0, "nothing began after the close");
        });
    }
}

#[test]
fn a_thousand_requests_leave_nothing_in_their_server() {
    sim(async |_| {
        let server = scope();
        for n in 0..1000 {
            let request = server.child("request");
            request.shield("work", async move { Ok::<_, String>(n) }).await.unwrap();
            request.cancel("over");
        }
        server.gone().await;
        assert_eq!((server.alive().len(), server.reason()), (0, None));
        assert_eq!(server.close("shutdown", ms(1)).await.ended, 0);
    });
}

#[test]
fn its_futures_can_be_spawned_and_its_errors_are_errors() {
    fn spawnable<T: Send + 'static>(value: T) -> T {
        value
    }
    fn error<E: std::error::Error>(error: &E) -> String {
        error.to_string()
    }
    sim(async |_| {
        let server = scope();
        let inner = server.clone();
        let work = spawnable(async move {
            let shielded = spawnable(inner.shield("a", async { Ok::<_, std::fmt::Error>(1) }));
            let clean_up = || async { Ok::<_, std::fmt::Error>(()) };
            let ended = inner.with_cleanup("b", ms(5), async { 2 }, clean_up).await;
            let run = inner.run("c", async { 3 }).await;
            drop((shielded.await, ended, run));
            inner.close("over", ms(5)).await
        });
        assert!(work.await.is_clean());
        let failed: WorkError<std::fmt::Error> = WorkError::Failed(std::fmt::Error);
        assert!(error(&failed).contains("formatting"));
        assert!(error(&WorkError::<std::fmt::Error>::TimedOut { bound: ms(50) }).contains("50ms"));
    });
}
