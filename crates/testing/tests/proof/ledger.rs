use crate::ms;
use common::clock;
use futures_util::future::join_all;
use std::future::pending;
use testing::{
    Case, every_await,
    proof::{End, Ledger},
    simulate,
};
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

#[test]
fn each_end_is_booked_with_its_time() {
    let ledger = Ledger::new();
    let case = Case::run("each end", async |recorder| {
        let ledger = ledger.clone().on(&recorder);
        drop(ledger.watch("never polled", sleep(ms(1))));
        sleep(ms(5)).await;
        let kept = ledger.entry("kept");
        ledger.watch("finished", sleep(ms(10))).await;
        drop(timeout(ms(10), ledger.watch("dropped", pending::<()>())).await);
        let mut tasks = JoinSet::new();
        tasks.spawn(ledger.watch("panicked", async { panic!("no") }));
        drop(tasks.join_next().await);
        ledger.entry("guard").finish();
        let seen = ledger.lines();
        drop(kept);
        seen
    });
    let lines = case.unwrap().value;
    let told: Vec<_> =
        lines.iter().map(|line| (line.name.as_str(), line.born, line.polled, line.ended)).collect();
    assert_eq!(
        told,
        [
            ("never polled", ms(0), None, Some((ms(0), End::NeverPolled))),
            ("kept", ms(5), Some(ms(5)), None),
            ("finished", ms(5), Some(ms(5)), Some((ms(15), End::Finished))),
            ("dropped", ms(15), Some(ms(15)), Some((ms(25), End::Dropped))),
            ("panicked", ms(25), Some(ms(25)), Some((ms(25), End::Panicked))),
            ("guard", ms(25), Some(ms(25)), Some((ms(25), End::Finished))),
        ]
    );
    let mismatch = ledger.check_all_finished().unwrap_err();
    assert_eq!(
        mismatch.seen,
        "`never polled` was dropped at 0 ms, before anybody polled it, `kept` was dropped at 25 ms, \
         `dropped` was dropped at 25 ms and `panicked` panicked at 25 ms"
    );
    ledger.assert_all_ended();
    ledger.assert_dropped("dropped");
    ledger.assert_order(["never polled", "finished", "dropped", "panicked", "guard", "kept"]);
}

#[test]
fn a_guard_that_a_panic_drops_has_panicked() {
    let ledger = Ledger::new();
    let run = simulate("", async |_| {
        let _entry = ledger.entry("guard");
        panic!("no")
    });
    drop::<testing::simulation::Run<()>>(run);
    assert_eq!(ledger.check_dropped("guard").unwrap_err().seen, "`guard` panicked at 0 ms");
}

#[test]
fn what_is_still_there_has_neither_ended_nor_finished() {
    clock::paused(async {
        let ledger = Ledger::new();
        let call = ledger.watch("call", sleep(ms(10)));
        assert_eq!(ledger.check_all_ended().unwrap_err().seen, "`call` is still there");
        assert_eq!(ledger.check_all_finished().unwrap_err().seen, "`call` is still there");
        call.await;
        ledger.assert_all_ended();
        ledger.assert_all_finished();
    });
}

#[test]
fn what_has_finished_stays_finished_when_it_is_dropped_later() {
    clock::paused(async {
        let ledger = Ledger::new();
        let mut call = ledger.watch("call", sleep(ms(10)));
        (&mut call).await;
        sleep(ms(10)).await;
        drop(call);
        assert_eq!(ledger.lines()[0].ended, Some((ms(10), End::Finished)));
    });
}

#[test]
fn never_polled_is_not_cancelled() {
    let ledger = Ledger::new();
    drop(ledger.watch("loser", pending::<()>()));
    let seen = ledger.check_dropped("loser").unwrap_err().seen;
    assert!(seen.ends_with("before anybody polled it"), "{seen}");
    ledger.assert_all_ended();
}

#[test]
fn an_empty_ledger_and_an_unknown_name_prove_nothing() {
    let ledger = Ledger::new();
    assert_eq!(ledger.check_all_finished().unwrap_err().seen, "nothing: the ledger is empty");
    assert_eq!(ledger.check_dropped("a").unwrap_err().seen, "no `a` in the ledger, but nothing");
    drop((ledger.entry("b"), ledger.entry("c")));
    assert_eq!(ledger.check_dropped("a").unwrap_err().seen, "no `a` in the ledger, but `b` and `c`");
    assert_eq!(ledger.check_order(["b", "a"]).unwrap_err().seen, "no `a` in the ledger, but `b` and `c`");
    assert_eq!(ledger.check_over_before("a").unwrap_err().seen, "no `a` in the ledger, but `b` and `c`");
}

#[test]
fn the_order_of_ends_holds_at_the_same_virtual_time_too() {
    let ledger = Ledger::new();
    let pool = ledger.entry("pool");
    let connection = ledger.entry("connection");
    let transaction = ledger.entry("transaction");
    drop((transaction, connection));
    let missing = ledger.check_order(["transaction", "connection", "pool"]).unwrap_err();
    assert_eq!(missing.seen, "`pool` is still there");
    drop(pool);
    ledger.assert_order(["transaction", "connection", "pool"]);
    ledger.assert_order(["transaction", "pool"]);
    let mismatch = ledger.check_order(["pool", "connection"]).unwrap_err();
    assert_eq!(mismatch.expected, "ended in the order pool, connection");
    assert_eq!(mismatch.seen, "connection, pool");
}

#[test]
fn of_a_name_that_several_have_each_is_asked() {
    clock::paused(async {
        let ledger = Ledger::new();
        ledger.watch("worker", sleep(ms(5))).await;
        drop(timeout(ms(5), ledger.watch("worker", pending::<()>())).await);
        drop(ledger.entry("boss"));
        assert_eq!(ledger.check_dropped("worker").unwrap_err().seen, "`worker` finished at 5 ms");
        ledger.assert_order(["worker", "worker", "boss"]);
        assert_eq!(ledger.check_order(["worker", "boss"]).unwrap_err().seen, "worker, worker, boss");
    });
}

/// Starts two calls that take long, and gives up after 10 ms.
async fn gives_up(ledger: Ledger, waits: bool) {
    let mut tasks = JoinSet::new();
    tasks.spawn(ledger.watch("first", pending::<()>()));
    tasks.spawn(ledger.watch("second", pending::<()>()));
    drop(timeout(ms(10), tasks.join_next()).await);
    if waits {
        tasks.shutdown().await;
    }
}

#[test]
fn a_join_set_that_is_dropped_is_not_over_when_its_function_returns() {
    clock::paused(async {
        let ledger = Ledger::new();
        ledger.watch("gives_up", gives_up(ledger.clone(), false)).await;
        let seen = ledger.check_over_before("gives_up").unwrap_err().seen;
        assert_eq!(seen, "`first` is still there and `second` is still there");
        // Aborted tasks go when the scheduler touches them: at the same virtual time, and yet too late.
        for _ in 0..3 {
            yield_now().await;
        }
        let seen = ledger.check_over_before("gives_up").unwrap_err().seen;
        assert_eq!(
            seen,
            "`first` was dropped at 10 ms and `second` was dropped at 10 ms, \
             after `gives_up`, which was over at 10 ms"
        );
    });
}

#[test]
fn a_join_set_that_is_shut_down_is_over_when_its_function_returns() {
    clock::paused(async {
        let ledger = Ledger::new();
        ledger.watch("gives_up", gives_up(ledger.clone(), true)).await;
        ledger.assert_over_before("gives_up");
        ledger.assert_dropped("first");
    });
}

#[test]
fn what_a_future_owns_is_over_when_the_future_is_dropped() {
    clock::paused(async {
        let ledger = Ledger::new();
        let both = ["a", "b"].map(|name| ledger.watch(name, pending::<()>()));
        drop(timeout(ms(10), ledger.watch("both", join_all(both))).await);
        ledger.assert_over_before("both");
        ledger.assert_order(["a", "b", "both"]);
    });
}

#[test]
fn what_is_begun_after_the_return_is_told() {
    clock::paused(async {
        let ledger = Ledger::new();
        let inner = ledger.clone();
        let mut tasks = JoinSet::new();
        let spawns = async {
            tasks.spawn(async move { inner.watch("late", sleep(ms(5))).await });
        };
        ledger.watch("spawns", spawns).await;
        ledger.assert_over_before("spawns");
        while tasks.join_next().await.is_some() {}
        let seen = ledger.check_over_before("spawns").unwrap_err().seen;
        assert_eq!(seen, "`late` finished at 5 ms, after `spawns`, which was over at 0 ms");
    });
}

#[test]
fn a_destructor_that_still_runs_is_not_over() {
    struct Looks(Ledger);
    impl Drop for Looks {
        fn drop(&mut self) {
            assert_eq!(self.0.lines()[0].ended, None);
        }
    }
    clock::paused(async {
        let ledger = Ledger::new();
        let looks = Looks(ledger.clone());
        let call = ledger.watch("call", async move {
            let _looks = looks;
            pending::<()>().await;
        });
        drop(timeout(ms(10), call).await);
        ledger.assert_dropped("call");
    });
}

#[test]
fn wherever_it_is_dropped_everything_has_ended() {
    let dropped = every_await(
        Ledger::new,
        |ledger| {
            let ledger = ledger.clone();
            async move {
                let entry = ledger.entry("guard");
                let inner = ["a", "b"].map(|name| ledger.watch(name, sleep(ms(5))));
                ledger.watch("outer", join_all(inner)).await;
                entry.finish();
            }
        },
        async |ledger| {
            ledger.check_all_ended()?;
            Ok(ledger.check_order(["a", "b", "outer", "guard"])?)
        },
    );
    assert!(dropped.is_ok(), "{}", dropped.unwrap_err());
}

#[test]
fn on_several_threads_no_line_is_lost() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let ledger = Ledger::new();
    runtime.block_on(ledger.watch("all", async {
        let mut tasks = JoinSet::new();
        for n in 0..400 {
            let call = ledger.watch(format!("call {n}"), yield_now());
            let aborted = tasks.spawn(call);
            if n % 4 == 0 {
                aborted.abort();
            }
        }
        while tasks.join_next().await.is_some() {}
    }));
    assert_eq!(ledger.lines().len(), 401);
    ledger.assert_all_ended();
    ledger.assert_over_before("all");
}
