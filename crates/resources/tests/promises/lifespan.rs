use common::{Recorder, clock::paused_runtime, server::Server};
use futures_util::{
    FutureExt as _, Stream,
    future::pending,
    stream::{self, StreamExt as _},
};
use resources::lifespan::{
    AFTER_ABORT, Component, End, Failure, Lifespan, Limits, NotStarted, Phase, Reason, Report, StartError,
    Starting,
};
use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};
use testing::{every_await, sim, simulation::tasks_left};
use tokio::{
    runtime::Builder,
    sync::{Notify, watch},
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const NAMES: [&str; 4] = ["pool", "batcher", "workers", "server"];
const LIMITS: Limits = Limits { start: ms(1000), stop: ms(1000) };
const GRACE: Duration = ms(10_000);

/// What happened, and when.
#[derive(Clone)]
struct Log(Arc<Mutex<Vec<(u64, String)>>>, Instant);

impl Log {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    fn note(&self, what: impl Into<String>) {
        let at = u64::try_from(self.1.elapsed().as_millis()).unwrap();
        self.0.lock().unwrap().push((at, what.into()));
    }

    fn all(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap().clone()
    }

    /// What happened, without times.
    fn lines(&self) -> Vec<String> {
        self.all().into_iter().map(|(_, what)| what).collect()
    }
}

/// Notes that it has gone.
struct Gone(Log, &'static str);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.note(format!("{} gone", self.1));
    }
}

/// Says why, so long after its first poll, and again, so long after that.
fn asks(after: &[u64]) -> impl Stream<Item = &'static str> + Send + use<> {
    let waits: Vec<_> = after.iter().map(|after| ms(*after)).zip(["SIGTERM", "SIGINT", "SIGQUIT"]).collect();
    stream::iter(waits).then(|(after, why)| async move {
        sleep(after).await;
        why
    })
}

/// A component that starts for 10 ms, and takes so long to stop.
async fn add(
    app: &mut Starting,
    log: &Log,
    name: &'static str,
    limits: Limits,
    stops_in: u64,
) -> Result<(), StartError> {
    let (begun, mine) = (log.clone(), log.clone());
    let starting = async move {
        sleep(ms(10)).await;
        begun.note(format!("{name} started"));
        Ok::<_, Infallible>(((), async move |stop: CancellationToken| {
            let _gone = Gone(mine.clone(), name);
            stop.cancelled().await;
            mine.note(format!("{name} asked"));
            sleep(ms(stops_in)).await;
            Ok::<_, Infallible>(())
        }))
    };
    app.start(name, limits, starting).await
}

/// All four.
async fn add_all(app: &mut Starting, log: &Log, stops_in: [u64; 4]) -> Result<(), StartError> {
    for (name, stops_in) in NAMES.into_iter().zip(stops_in) {
        add(app, log, name, LIMITS, stops_in).await?;
    }
    Ok(())
}

fn ends(report: &Report) -> Vec<String> {
    report.components.iter().map(ToString::to_string).collect()
}

#[test]
fn components_start_in_order_and_stop_in_reverse_each_when_the_one_after_it_has_gone() {
    sim(async |_| {
        let log = Log::new();
        let report = Lifespan::new(GRACE)
            .run(asks(&[100]), async |app| add_all(app, &log, [5, 20, 7, 300]).await)
            .await
            .unwrap();
        let expected = [
            (10, "pool started"),
            (20, "batcher started"),
            (30, "workers started"),
            (40, "server started"),
            (100, "server asked"),
            (400, "server gone"),
            (400, "workers asked"),
            (407, "workers gone"),
            (407, "batcher asked"),
            (427, "batcher gone"),
            (427, "pool asked"),
            (432, "pool gone"),
        ];
        assert_eq!(log.all(), expected.map(|(at, what)| (at, what.to_owned())));
        assert_eq!(
            (report.reason, report.ready, report.took),
            (Reason::Asked("SIGTERM"), Some(ms(40)), ms(332))
        );
        let seen: Vec<_> = report.components.iter().map(|one| (one.name, one.started, one.took)).collect();
        let expected = [("server", 40, 300), ("workers", 30, 7), ("batcher", 20, 20), ("pool", 10, 5)];
        assert_eq!(seen, expected.map(|(name, started, took)| (name, ms(started), ms(took))));
        assert!(report.is_clean() && report.exit_status() == 0 && report.stragglers().next().is_none());
    });
}

#[test]
fn it_is_ready_when_all_have_started_and_no_more_before_the_first_is_asked() {
    sim(async |sim| {
        let (log, phases) = (Log::new(), Log::new());
        let lifespan = Lifespan::new(GRACE);
        let mut phase = lifespan.phase();
        assert_eq!(*phase.borrow(), Phase::Starting);
        let theirs = phases.clone();
        let reader = sim.spawn("load balancer", async move {
            while phase.changed().await.is_ok() {
                let now = *phase.borrow_and_update();
                theirs.note(format!("{now:?}"));
            }
        });
        let mine = phases.clone();
        let report = lifespan
            .run(asks(&[100]), async |app| {
                let phase = app.phase();
                add_all(app, &log, [0, 0, 0, 0]).await?;
                sleep(ms(20)).await; // A warm-up.
                let run = async move |stop: CancellationToken| {
                    mine.note("up");
                    stop.cancelled().await;
                    mine.note(format!("asked when {:?}", *phase.borrow()));
                    Ok::<_, Infallible>(())
                };
                app.start("last", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await
            })
            .await
            .unwrap();
        assert!(report.is_clean());
        reader.await.unwrap();
        let mut lines = phases.all();
        // Who hears of it first in that moment is the scheduler's choice; what the component reads is not.
        lines.sort();
        let expected = [(60, "Ready"), (60, "up"), (100, "Stopping"), (100, "asked when Stopping")];
        let mut expected = expected.map(|(at, what)| (at, what.to_owned()));
        expected.sort();
        assert_eq!(lines, expected);
    });
}

#[test]
fn a_lame_duck_works_on_so_long_and_is_part_of_the_grace() {
    sim(async |_| {
        let log = Log::new();
        let lifespan = Lifespan::new(ms(250)).lame_duck(ms(200));
        let report =
            lifespan.run(asks(&[100]), async |app| add_all(app, &log, [0, 0, 0, 80]).await).await.unwrap();
        assert_eq!(log.all()[4], (300, "server asked".into()));
        assert_eq!(ends(&report)[0], "server aborted after 50ms");
        assert_eq!(report.took, ms(250));
    });
    // As long as the grace, it would leave no time to stop in.
    for (grace, duck, refused) in [(250, 249, false), (250, 250, true), (250, 300, true), (0, 0, false)] {
        let built = std::panic::catch_unwind(|| Lifespan::new(ms(grace)).lame_duck(ms(duck)));
        assert_eq!(built.is_err(), refused, "a lame duck of {duck} ms in a grace of {grace} ms");
    }
    // Who never was ready gets no requests that one could wait for.
    sim(async |_| {
        let log = Log::new();
        let lifespan = Lifespan::new(GRACE).lame_duck(ms(200));
        let report = lifespan.run(asks(&[15]), async |app| add_all(app, &log, [0; 4]).await).await.unwrap();
        assert_eq!((report.took, report.ready), (ms(0), None));
    });
}

/// Runs four components of which the one at `k` starts so.
fn bad_start(
    k: usize,
    bad: impl AsyncFn(&mut Starting, &Log) -> Result<(), StartError> + Send + Sync + 'static,
) -> (Result<Report, NotStarted>, Log) {
    sim(async move |_| {
        let log = Log::new();
        let theirs = log.clone();
        let ended = Lifespan::new(GRACE)
            .run(asks(&[60_000]), async |app| {
                for (n, name) in NAMES.into_iter().enumerate() {
                    if n == k {
                        bad(app, &theirs).await?;
                    } else {
                        add(app, &theirs, name, LIMITS, 20).await?;
                    }
                }
                Ok(())
            })
            .await;
        (ended, log)
    })
}

/// What is logged when those before `k` have started, and stop again.
fn begun_and_stopped(k: usize, by: &str) -> Vec<String> {
    let begun = NAMES[..k].iter().map(|name| format!("{name} started"));
    let stopped = NAMES[..k].iter().rev().flat_map(|name| [format!("{name} asked"), format!("{name} gone")]);
    begun.chain([by.to_owned()]).chain(stopped).collect()
}

#[test]
fn whichever_start_fails_those_before_it_stop_in_reverse_and_both_are_told() {
    for k in 0..4 {
        let (ended, log) = bad_start(k, async |app, log| {
            let mine = log.clone();
            let starting = async move {
                sleep(ms(10)).await;
                mine.note("fails");
                Err::<(), _>("no such host")
            };
            app.open("bad", LIMITS, starting, |()| async { Ok::<_, Infallible>(()) }).await
        });
        let error = ended.unwrap_err();
        assert!(matches!(error.error, StartError::Failed { name: "bad", .. }), "{error}");
        assert_eq!((error.report.reason, error.report.ready), (Reason::NotStarted, None));
        assert_eq!(error.report.components.len(), k);
        assert!(
            error.to_string().starts_with("bad could not be started: no such host; stopped because not"),
            "{error}"
        );
        assert_eq!(log.lines(), begun_and_stopped(k, "fails"));
        assert_eq!(error.report.exit_status(), 1);
    }
}

#[test]
fn whichever_start_hangs_it_is_dropped_at_its_limit_and_those_before_it_stop() {
    for k in 0..4 {
        let (ended, log) = bad_start(k, async |app, log| {
            let gone = Gone(log.clone(), "bad");
            let starting = async move {
                let _gone = gone;
                pending::<Result<((), fn(CancellationToken) -> std::future::Ready<Result<(), String>>), String>>().await
            };
            app.start("bad", Limits { start: ms(70), ..LIMITS }, starting).await
        });
        let error = ended.unwrap_err();
        assert!(matches!(error.error, StartError::TimedOut { name: "bad", limit } if limit == ms(70)));
        assert_eq!(log.lines(), begun_and_stopped(k, "bad gone"));
        let at = 10 * u64::try_from(k).unwrap() + 70;
        assert!(log.all().contains(&(at, "bad gone".into())), "{:?}", log.all());
    }
}

/// It panics when it is called: there is no future to be polled.
fn cursed(_: &mut Starting) -> std::future::Ready<Result<(), StartError>> {
    std::panic::resume_unwind(Box::new("cannot even begin"))
}

#[test]
fn a_start_that_panics_before_it_gives_a_future_is_an_error_as_well() {
    sim(async |_| {
        let error = Lifespan::new(GRACE).run(asks(&[100]), cursed).await.unwrap_err().error;
        let StartError::Panicked { name: "start", message } = error else { panic!("{error}") };
        assert_eq!(message, "cannot even begin");
    });
}

#[test]
fn whichever_start_panics_it_is_an_error_and_those_before_it_stop() {
    for k in 0..4 {
        for step in [true, false] {
            let (ended, log) = bad_start(k, async move |app, log| {
                let mine = log.clone();
                let panics = async move {
                    mine.note("panics");
                    yield_now().await;
                    std::panic::resume_unwind(Box::new("no config"));
                    #[expect(unreachable_code, reason = "it says what the future would give")]
                    Ok::<(), Infallible>(())
                };
                // In a start, and between them.
                if step {
                    app.step("bad", ms(100), panics).await
                } else {
                    panics.await.map_err(|never| match never {})
                }
            });
            let error = ended.unwrap_err();
            let name = if step { "bad" } else { "start" };
            assert!(
                matches!(&error.error, StartError::Panicked { name: who, message } if *who == name && message == "no config"),
                "{error}"
            );
            assert_eq!(log.lines(), begun_and_stopped(k, "panics"));
        }
    }
}

#[test]
fn asked_to_stop_in_whichever_moment_of_the_start_it_starts_no_more_and_stops_what_there_is() {
    for at in 0..40 {
        sim(async move |_| {
            let log = Log::new();
            let report = Lifespan::new(GRACE)
                .run(asks(&[at]), async |app| add_all(app, &log, [3; 4]).await)
                .await
                .unwrap();
            assert_eq!((report.reason, report.ready), (Reason::Asked("SIGTERM"), None));
            // What ends in the very moment of the request has not started: the request comes first.
            let begun = usize::try_from(at.saturating_sub(1) / 10).unwrap();
            let mut expected = begun_and_stopped(begun, "");
            expected.retain(|line| !line.is_empty());
            assert_eq!(log.lines(), expected, "asked at {at} ms");
            assert!(report.is_clean(), "{report}");
            assert_eq!(report.took, ms(3) * u32::try_from(begun).unwrap());
        });
    }
}

#[test]
fn a_component_that_ends_by_itself_begins_the_end_and_is_named_with_how() {
    type Ends = fn() -> Result<(), &'static str>;
    let cases: [(Ends, &str); 3] = [
        (|| Ok(()), "batcher had finished by itself"),
        (|| Err("out of memory"), "batcher failed: out of memory"),
        (
            || std::panic::resume_unwind(Box::new("index out of bounds")),
            "batcher panicked: index out of bounds",
        ),
    ];
    // While the others start, and later.
    for after in [5, 15, 500] {
        for (ends_so, told) in cases {
            sim(async move |_| {
                let log = Log::new();
                let report = Lifespan::new(GRACE)
                    .run(asks(&[60_000]), async |app| {
                        add(app, &log, "pool", LIMITS, 7).await?;
                        let run = async move |_stop: CancellationToken| {
                            sleep(ms(after)).await;
                            ends_so()
                        };
                        app.start("batcher", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await?;
                        add(app, &log, "workers", LIMITS, 7).await?;
                        add(app, &log, "server", LIMITS, 7).await
                    })
                    .await
                    .unwrap();
                assert_eq!(report.reason, Reason::Ended("batcher"));
                assert_eq!(report.ready.is_some(), after == 500);
                let batcher = report.components.iter().find(|one| one.name == "batcher").unwrap();
                assert!(batcher.by_itself);
                assert_eq!(batcher.to_string(), told);
                assert_eq!(report.exit_status(), 1);
                assert_eq!(log.lines().last().unwrap(), "pool gone");
                assert_eq!(
                    log.all().last().unwrap().0,
                    10 + after + 7 * (u64::try_from(report.components.len()).unwrap() - 1)
                );
            });
        }
    }
}

#[test]
fn a_component_whose_error_or_panic_panics_itself_begins_the_end_all_the_same() {
    struct Bad;
    impl From<Bad> for Failure {
        fn from(_: Bad) -> Self {
            std::panic::resume_unwind(Box::new("no words for it"));
        }
    }
    for by_error in [true, false] {
        sim(async move |_| {
            let ended = Lifespan::new(GRACE).run(asks(&[60_000]), async |app| {
                let run = async move |_stop: CancellationToken| {
                    sleep(ms(10)).await;
                    if !by_error {
                        std::panic::resume_unwind(Box::new(Cursed));
                    }
                    Err::<(), _>(Bad)
                };
                app.start("bad", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await
            });
            let report = ended.await.unwrap();
            assert_eq!(report.reason, Reason::Ended("bad"));
            let [bad] = report.components.as_slice() else { panic!("{report}") };
            assert!(bad.by_itself && matches!(bad.end, End::Panicked(_)), "{bad}");
        });
    }
}

#[test]
fn a_component_that_cancels_its_own_token_has_ended_by_itself() {
    sim(async |_| {
        let ended = Lifespan::new(GRACE).run(asks(&[60_000]), async |app| {
            let run = async |stop: CancellationToken| {
                stop.cancel();
                Ok::<_, Infallible>(())
            };
            app.start("quitter", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await
        });
        assert_eq!(ended.await.unwrap().reason, Reason::Ended("quitter"));
    });
}

#[test]
fn who_does_not_stop_within_its_limit_is_aborted_and_named_and_the_others_have_their_time() {
    sim(async |_| {
        let log = Log::new();
        let report = Lifespan::new(GRACE)
            .run(asks(&[100]), async |app| add_all(app, &log, [20, 999, 60_000, 990]).await)
            .await
            .unwrap();
        assert_eq!(
            ends(&report),
            [
                "server finished in 990ms",
                "workers aborted after 1s",
                "batcher finished in 999ms",
                "pool finished in 20ms"
            ]
        );
        assert_eq!(report.stragglers().collect::<Vec<_>>(), ["workers"]);
        assert_eq!((report.exit_status(), report.took), (1, ms(3009)));
        // Its destructors have run before the next one is asked.
        let lines = log.lines();
        let at = |what: &str| lines.iter().position(|line| line == what).unwrap();
        assert!(at("workers gone") < at("batcher asked"));
    });
}

#[test]
fn the_whole_end_takes_no_longer_than_the_grace_and_who_comes_last_is_aborted_unasked() {
    for grace in [0, 1, 50, 1000, 1500, 2000, 2999, 3000] {
        sim(async move |_| {
            let log = Log::new();
            let report = Lifespan::new(ms(grace))
                .run(asks(&[100]), async |app| add_all(app, &log, [60_000; 4]).await)
                .await
                .unwrap();
            assert_eq!(report.took, ms(grace));
            assert_eq!(report.stragglers().collect::<Vec<_>>(), ["server", "workers", "batcher", "pool"]);
            let asked = log.lines().iter().filter(|line| line.ends_with("asked")).count();
            assert_eq!(asked, usize::try_from(grace.div_ceil(1000)).unwrap());
            // Aborted one after the other, too.
            let gone: Vec<_> = log.lines().into_iter().filter(|line| line.ends_with("gone")).collect();
            assert_eq!(gone, ["server gone", "workers gone", "batcher gone", "pool gone"]);
        });
    }
}

#[test]
fn a_limit_of_zero_is_not_asked_and_endless_limits_are_no_overflow() {
    sim(async |_| {
        let log = Log::new();
        let endless = Limits { start: Duration::MAX, stop: Duration::MAX };
        let lifespan = Lifespan::new(Duration::MAX);
        let report = lifespan.run(asks(&[100]), async |app| {
            add(app, &log, "patient", endless, 86_400).await?;
            add(app, &log, "hasty", Limits { stop: ms(0), ..LIMITS }, 1).await
        });
        let report = report.await.unwrap();
        assert_eq!(ends(&report), ["hasty aborted after 0ns", "patient finished in 86.4s"]);
        assert!(!log.lines().contains(&"hasty asked".to_owned()));
    });
}

#[test]
fn a_second_request_ends_all_waiting_in_whichever_moment_of_the_end() {
    // The lame duck until 150 ms, then 100 ms for each of the four.
    for later in [0, 1, 49, 50, 51, 120, 149, 151, 299, 449] {
        sim(async move |_| {
            let log = Log::new();
            let report = Lifespan::new(GRACE)
                .lame_duck(ms(50))
                .run(asks(&[100, later]), async |app| add_all(app, &log, [100; 4]).await)
                .await
                .unwrap();
            assert_eq!((report.took, report.hurried), (ms(later), Some("SIGINT")), "{report}");
            let finished = usize::try_from(later.saturating_sub(50) / 100).unwrap();
            let aborted: Vec<_> = NAMES.into_iter().rev().skip(finished).collect();
            assert_eq!(report.stragglers().collect::<Vec<_>>(), aborted, "{later} ms later: {report}");
            let gone: Vec<_> = log.lines().into_iter().filter(|line| line.ends_with("gone")).collect();
            assert_eq!(gone, ["server gone", "workers gone", "batcher gone", "pool gone"]);
        });
    }
}

#[test]
fn a_second_request_after_one_during_the_start_and_two_at_once_end_all_waiting_too() {
    for (asked, begun) in [([25, 30], 2), ([100, 0], 4)] {
        sim(async move |_| {
            let log = Log::new();
            let lifespan = Lifespan::new(GRACE);
            let report =
                lifespan.run(asks(&asked), async |app| add_all(app, &log, [1000; 4]).await).await.unwrap();
            assert_eq!((report.took, report.components.len()), (ms(asked[1]), begun));
            assert_eq!(report.stragglers().count(), begun);
        });
    }
}

#[test]
fn the_first_request_during_an_end_that_began_by_itself_is_not_the_second() {
    for (asked, took, hurried) in [(&[60, 30][..], 30 + 10, Some("SIGINT")), (&[60], 400, None)] {
        sim(async move |_| {
            let log = Log::new();
            let report = Lifespan::new(GRACE)
                .run(asks(asked), async |app| {
                    add_all(app, &log, [100; 4]).await?;
                    let run = async |_| {
                        sleep(ms(10)).await;
                        Err::<(), _>("broken")
                    };
                    app.start("watcher", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await
                })
                .await
                .unwrap();
            assert_eq!(report.reason, Reason::Ended("watcher"));
            assert_eq!((report.took, report.hurried), (ms(took), hurried));
        });
    }
}

/// Its destructor panics, but not while something else does.
struct Cursed;

impl Drop for Cursed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("cursed"));
        }
    }
}

#[test]
fn a_start_with_a_destructor_that_panics_is_an_error_and_what_has_started_is_stopped() {
    // Dropped at a request, and because a component has ended.
    for (ends, why) in [(false, Reason::Asked("SIGTERM")), (true, Reason::Ended("batcher"))] {
        sim(async move |_| {
            let log = Log::new();
            let run = Lifespan::new(GRACE).run(asks(&[100]), async |app| {
                add(app, &log, "pool", LIMITS, 20).await?;
                if ends {
                    let run = async |_stop: CancellationToken| {
                        sleep(ms(50)).await;
                        Ok::<_, Infallible>(())
                    };
                    app.start("batcher", LIMITS, async { Ok::<_, Infallible>(((), run)) }).await?;
                }
                let _cursed = Cursed;
                pending().await
            });
            let NotStarted { error, report, .. } = run.await.unwrap_err();
            assert!(
                matches!(&error, StartError::Panicked { name: "start", message } if message == "cursed"),
                "{error}"
            );
            assert_eq!((report.reason, report.took), (why, ms(20)));
            assert_eq!(log.lines(), ["pool started", "pool asked", "pool gone"]);
        });
    }
}

#[test]
fn a_start_that_panics_when_it_is_dropped_at_its_limit_is_named() {
    let (ended, log) = bad_start(2, async |app, _| {
        app.step("bad", ms(70), async {
            let _cursed = Cursed;
            pending::<Result<(), Infallible>>().await
        })
        .await
    });
    let error = ended.unwrap_err().error;
    assert!(matches!(&error, StartError::Panicked { name: "bad", .. }), "{error}");
    assert_eq!(log.lines().last().unwrap(), "pool gone");
}

#[test]
fn a_stop_that_fails_or_panics_is_told_and_keeps_nobody_from_stopping() {
    sim(async |_| {
        let log = Log::new();
        let report = Lifespan::new(GRACE)
            .run(asks(&[100]), async |app| {
                add(app, &log, "pool", LIMITS, 5).await?;
                let ok = || async { Ok::<_, Infallible>(7) };
                app.open("fails", LIMITS, ok(), |_| async { Err::<(), _>("still in use") }).await?;
                app.open("panics", LIMITS, ok(), |_| async {
                    std::panic::resume_unwind(Box::new("bug")) as Result<(), Infallible>
                })
                .await?;
                app.open("cursed", LIMITS, ok(), |_| async {
                    let _cursed = Cursed;
                    pending::<Result<(), Infallible>>().await
                })
                .await?;
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(
            ends(&report),
            [
                "cursed panicked: cursed",
                "panics panicked: bug",
                "fails failed: still in use",
                "pool finished in 5ms"
            ]
        );
        assert!(report.components.iter().all(|one: &Component| !one.by_itself));
        assert_eq!(report.exit_status(), 1);
    });
}

#[test]
fn a_stream_of_requests_that_ends_asks_no_more() {
    sim(async |_| {
        let log = Log::new();
        let run = Lifespan::new(GRACE).run(stream::empty(), async |app| add_all(app, &log, [0; 4]).await);
        assert!(timeout(ms(3_000_000), run).await.is_err(), "nobody has asked");
        let run = Lifespan::new(GRACE).run(asks(&[100]), async |app| add_all(app, &log, [100; 4]).await);
        assert!(run.await.unwrap().is_clean());
    });
}

async fn turn() -> Result<(), Infallible> {
    yield_now().await;
    Ok(())
}

#[test]
fn dropped_at_any_await_nothing_runs_on_and_it_is_stopping() {
    struct World {
        alive: Arc<AtomicUsize>,
        phase: Mutex<Option<watch::Receiver<Phase>>>,
    }
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let awaits = every_await(
        || World { alive: Arc::default(), phase: Mutex::default() },
        |world| {
            let lifespan = Lifespan::new(ms(60)).lame_duck(ms(5));
            *world.phase.lock().unwrap() = Some(lifespan.phase());
            let alive = world.alive.clone();
            async move {
                let alive = &alive;
                let start = async move |app: &mut Starting| {
                    app.step("migrate", ms(50), turn()).await?;
                    for name in ["a", "b", "slow"] {
                        alive.fetch_add(1, SeqCst);
                        let here = Alive(alive.clone());
                        let starting = async move {
                            sleep(ms(5)).await;
                            Ok::<_, Infallible>(((), async move |stop: CancellationToken| {
                                let _here = here;
                                stop.cancelled().await;
                                sleep(ms(if name == "slow" { 1000 } else { 10 })).await;
                                Ok::<_, Infallible>(())
                            }))
                        };
                        app.start(name, Limits { start: ms(50), stop: ms(20) }, starting).await?;
                    }
                    app.open("o", LIMITS, turn(), |()| async {
                        yield_now().await;
                        Ok::<_, Infallible>(())
                    })
                    .await
                };
                let report = Lifespan::run(lifespan, asks(&[50]), start).await.unwrap();
                assert_eq!(report.stragglers().collect::<Vec<_>>(), ["slow"]);
            }
        },
        async |world| {
            let phase = world.phase.lock().unwrap().take().map(|phase| *phase.borrow());
            // Dropped before it was polled, it has not begun.
            match (world.alive.load(SeqCst), phase) {
                (0, Some(Phase::Stopping)) => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 12);
}

#[test]
fn dropped_before_its_first_poll_or_never_run_it_is_stopping_too() {
    sim(async |_| {
        for run in [true, false] {
            let lifespan = Lifespan::new(GRACE);
            let phase = lifespan.phase();
            if run {
                drop(lifespan.run(stream::pending(), async |_app| Ok(())));
            } else {
                drop(lifespan);
            }
            assert_eq!(*phase.borrow(), Phase::Stopping);
        }
    });
}

#[test]
fn dropped_it_asks_nobody_and_aborts_everything() {
    sim(async |_| {
        let log = Log::new();
        let run = Lifespan::new(GRACE).run(asks(&[60_000]), async |app| add_all(app, &log, [0; 4]).await);
        assert!(timeout(ms(100), run).await.is_err());
        assert_eq!(tasks_left().await, 0);
        // Nobody was asked, and everybody has gone.
        let mut gone = log.lines().split_off(4);
        gone.sort();
        assert_eq!(gone, ["batcher gone", "pool gone", "server gone", "workers gone"]);
    });
}

#[test]
fn sessions_that_are_closed_by_their_components_are_closed_in_reverse_and_none_is_left_open() {
    sim(async |sim| {
        let server = Server::new(&Recorder::new(""));
        let open = server.clone();
        let lifespan = Lifespan::new(GRACE);
        // It can be spawned.
        let task = sim.spawn(
            "app",
            lifespan.run(asks(&[100]), async move |app| {
                for name in ["pool", "broker"] {
                    let session = open.open(name);
                    let starting = async move {
                        let session = session.await?;
                        Ok::<_, common::server::ServerError>(((), async move |stop: CancellationToken| {
                            stop.cancelled().await;
                            session.close().await
                        }))
                    };
                    app.start(name, LIMITS, starting).await?;
                }
                Ok(())
            }),
        );
        assert!(task.await.unwrap().unwrap().is_clean());
        let closed: Vec<_> =
            server.log().into_iter().map(|line| format!("{:?} {}", line.what, line.session)).collect();
        assert_eq!(
            closed,
            [
                "Opened pool",
                "Opened broker",
                "Closing broker",
                "Closed broker",
                "Closing pool",
                "Closed pool"
            ]
        );
        assert!(server.left_open().is_empty());
    });
}

#[test]
fn who_blocks_its_thread_is_named_as_stuck_each_after_its_time_and_the_others_are_stopped() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let (release, blocked) = mpsc::channel::<()>();
    let (release_too, blocked_too) = mpsc::channel::<()>();
    let (asked, blocks) = asked_when_told();
    let started = Arc::new(Notify::new());
    let go = started.clone();
    let run = Lifespan::new(GRACE).run(asked, async move |app| {
        let ok = || async { Ok::<_, Infallible>(()) };
        app.open("pool", LIMITS, ok(), move |()| ok()).await?;
        let run = async move |_stop: CancellationToken| {
            go.notified().await;
            // No abort reaches it any more: this poll does not end before the sender is dropped, at the end of the test.
            blocks.notify_one();
            blocked.recv().ok();
            Ok::<_, Infallible>(())
        };
        let limits = Limits { stop: ms(1), ..LIMITS };
        app.start("blocks", limits, async { Ok::<_, Infallible>(((), run)) }).await?;
        let run = async move |stop: CancellationToken| {
            stop.cancelled().await;
            blocked_too.recv().ok();
            Ok::<_, Infallible>(())
        };
        app.start("blocks too", limits, async { Ok::<_, Infallible>(((), run)) }).await?;
        app.open("server", LIMITS, ok(), move |()| ok()).await?;
        started.notify_one();
        Ok(())
    });
    // If it waited for the thread, it would wait for ever.
    let report = runtime.block_on(async { timeout(GRACE, run).await });
    drop((release, release_too));
    let report = report.unwrap().unwrap();
    let [server, too, blocks, pool] = report.components.as_slice() else { panic!("{report}") };
    assert!(matches!((&server.end, &pool.end), (End::Finished, End::Finished)), "{report}");
    for stuck in [too, blocks] {
        // What one has used up the other has all the same: its name is no verdict before that.
        assert!(matches!(stuck.end, End::Stuck) && stuck.took >= AFTER_ABORT, "{report}");
    }
    assert_eq!(report.stragglers().collect::<Vec<_>>(), ["blocks too", "blocks"]);
}

/// Requests: one, when the other side says so.
fn asked_when_told() -> (impl Stream<Item = &'static str> + Send, Arc<Notify>) {
    let tell = Arc::new(Notify::new());
    let told = tell.clone();
    let asked = stream::once(async move {
        told.notified().await;
        "SIGTERM"
    });
    (asked, tell)
}

#[test]
fn on_several_threads_it_starts_and_stops_in_the_same_order() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for _ in 0..200 {
        let order = Arc::<Mutex<Vec<&str>>>::default();
        let (seen, (asked, ready)) = (order.clone(), asked_when_told());
        let run = Lifespan::new(GRACE).run(asked, async move |app| {
            for name in NAMES {
                let seen = seen.clone();
                let close = move |()| async move {
                    yield_now().await;
                    seen.lock().unwrap().push(name);
                    Ok::<_, Infallible>(())
                };
                app.open(name, LIMITS, async { Ok::<_, Infallible>(()) }, close).await?;
            }
            ready.notify_one();
            Ok(())
        });
        let report = runtime.block_on(runtime.spawn(run)).unwrap().unwrap();
        assert!(report.components.iter().all(|one| matches!(one.end, End::Finished)), "{report}");
        let mut reversed = NAMES;
        reversed.reverse();
        assert_eq!(*order.lock().unwrap(), reversed);
    }
}

#[test]
fn when_the_runtime_goes_everything_goes_with_it() {
    let log = {
        let runtime = paused_runtime();
        let log = runtime.block_on(async { Log::new() });
        let theirs = log.clone();
        runtime.spawn(async move {
            Lifespan::new(GRACE).run(stream::pending(), async |app| add_all(app, &theirs, [0; 4]).await).await
        });
        runtime.block_on(async { sleep(ms(100)).await });
        drop(runtime);
        log
    };
    let gone = log.lines().into_iter().filter(|line| line.ends_with("gone")).count();
    assert_eq!(gone, 4);
}

#[test]
fn without_timers_or_a_runtime_it_panics_before_anything_starts() {
    let begun = Arc::new(AtomicUsize::new(0));
    let run = || {
        let begun = begun.clone();
        Lifespan::new(GRACE).run(stream::pending(), async move |_app| {
            begun.fetch_add(1, SeqCst);
            Ok(())
        })
    };
    let runtime = Builder::new_current_thread().build().unwrap();
    let inside = runtime.block_on(async { AssertUnwindSafe(run()).catch_unwind().now_or_never() });
    assert!(inside.is_some_and(|ended| ended.is_err()));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| run().now_or_never())).is_err());
    assert_eq!(begun.load(SeqCst), 0);
}

#[test]
fn its_errors_are_errors_and_keep_their_sources() {
    let (ended, _) = bad_start(1, async |app, _| {
        app.step("config", ms(10), async { Err::<(), _>(std::io::Error::other("no such file")) }).await
    });
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(ended.unwrap_err());
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "config could not be started: no such file");
    assert_eq!(source.source().unwrap().to_string(), "no such file");
    assert!(AFTER_ABORT > Duration::ZERO);
}

#[test]
fn reports_can_be_made_for_the_tests_of_who_reads_them() {
    let mut report = Report::new(Reason::Asked("a test"), vec![Component::new("pool", End::Finished)]);
    assert!(report.is_clean());
    report.took = ms(3);
    report.components.push(Component::new("workers", End::Aborted));
    assert_eq!(report.stragglers().collect::<Vec<_>>(), ["workers"]);
    let error = NotStarted::new(StartError::TimedOut { name: "server", limit: ms(5) }, report);
    assert_eq!(
        error.to_string(),
        "server had not started within 5ms; stopped for a test in 3ms: pool finished in 0ns, workers aborted after 0ns"
    );
}

#[cfg(unix)]
mod with_signals {
    use super::{GRACE, LIMITS};
    use resources::lifespan::{Lifespan, Limits, signals};
    use std::{
        convert::Infallible,
        env,
        io::{BufRead as _, BufReader},
        process::{Child, ChildStdout, Command, Stdio, exit},
    };
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    const TOLD: &str = "RESOURCES_LIFESPAN_CHILD";

    /// Not the name of a test in the output: libtest writes to the same pipe.
    fn say(what: &str) {
        println!("\n> {what}");
    }

    /// The child's part: a program that drains for ever.
    #[test]
    fn a_child() {
        if env::var_os(TOLD).is_none() {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async {
            // If the second signal does nothing, it ends all the same.
            let limits = Limits { stop: GRACE, ..LIMITS };
            let ended = Lifespan::new(GRACE).run(signals().unwrap(), async |app| {
                let run = async |stop: CancellationToken| {
                    say("up");
                    stop.cancelled().await;
                    say("draining");
                    std::future::pending::<Result<(), Infallible>>().await
                };
                app.start("server", limits, async { Ok::<_, Infallible>(((), run)) }).await
            });
            timeout(GRACE * 3, ended).await.unwrap().unwrap()
        });
        say(&format!(
            "{:?}, hurried by {:?}, {:?}",
            report.reason,
            report.hurried,
            report.stragglers().collect::<Vec<_>>()
        ));
        exit(i32::from(report.exit_status()) + 40);
    }

    fn next(lines: &mut std::io::Lines<BufReader<ChildStdout>>) -> Option<String> {
        lines.find_map(|line| Some(line.unwrap().strip_prefix("> ")?.to_owned()))
    }

    fn send(child: &Child, signal: &str) {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    #[test]
    fn the_first_signal_drains_and_the_second_is_immediate_whichever_they_are() {
        for [first, second] in [["TERM", "INT"], ["INT", "INT"], ["TERM", "TERM"], ["INT", "TERM"]] {
            let me = env::current_exe().unwrap();
            let mut child = Command::new(me)
                .args(["lifespan::with_signals::a_child", "--exact", "--nocapture", "--test-threads=1"])
                .env(TOLD, "1")
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert_eq!(next(&mut lines).as_deref(), Some("up"));
            send(&child, &format!("-{first}"));
            assert_eq!(next(&mut lines).as_deref(), Some("draining"));
            send(&child, &format!("-{second}"));
            let told = format!("Asked(\"SIG{first}\"), hurried by Some(\"SIG{second}\"), [\"server\"]");
            assert_eq!(next(&mut lines), Some(told));
            assert_eq!(child.wait().unwrap().code(), Some(41));
        }
    }
}
