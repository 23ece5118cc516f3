//! What is verified on any answer to `lifespan`.

use common::{
    Recorder, Verdict,
    draw::time,
    server::{self, Call, Server},
    verdict::Kind,
};
use futures_util::future::LocalBoxFuture;
use std::{
    future::pending,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    simulation::tasks_left,
};
use tokio::{
    join, select,
    task::{AbortHandle, JoinHandle},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Name, token, limit and task of each part.
type Parts = Vec<(&'static str, CancellationToken, Duration, JoinHandle<()>)>;
/// Who finished, who panicked, who was aborted.
type Told = [Vec<&'static str>; 3];
type Answer<'a> = &'a dyn Fn(Parts, Duration, CancellationToken) -> LocalBoxFuture<'static, Told>;

/// The answer of a module.
macro_rules! answer {
    ($($module:ident)::+) => {
        &|parts, grace, now| {
            let part = |(name, stop, limit, task)| $($module)::+::Part { name, stop, limit, task };
            let parts = Vec::into_iter(parts).map(part).collect();
            Box::pin(async move {
                let report = $($module)::+::shutdown(parts, grace, now).await;
                [report.finished, report.panicked, report.aborted]
            })
        }
    };
}
pub(crate) use answer;

const NAMES: [&str; 5] = ["pool", "cache", "batcher", "workers", "server"];
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);
/// When the end begins: by then everybody is at work, and who has ended has.
const SIGTERM: Duration = ms(20);

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(answer: Answer<'_>) -> Verdict {
    verdict(|| {
        for service in services() {
            one(answer, &service)?;
        }
        for service in services() {
            for at in service.moments() {
                dropped(answer, &service, at)?;
            }
        }
        Ok(())
    })
}

/// What a part does when it is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Ends after so long.
    Ends(Duration),
    /// Panics after so long.
    Panics(Duration),
    /// Never ends.
    Hangs,
    /// It has ended, before anybody asked.
    HasEnded,
    /// It has panicked, before anybody asked.
    HasPanicked,
}

/// Parts in the order in which they were started, each with its limit.
struct Service {
    parts: Vec<(Does, Duration)>,
    grace: Duration,
    /// When the second signal comes.
    second: Option<Duration>,
}

fn services() -> Vec<Service> {
    use Does::{Ends, Hangs, HasEnded, HasPanicked, Panics};
    let service = |parts: &[(Does, u64)], grace: u64, second: Option<u64>| Service {
        parts: parts.iter().map(|(does, limit)| (*does, ms(*limit))).collect(),
        grace: ms(grace),
        second: second.map(ms),
    };
    let long = 30_000;
    let mut services = vec![
        // Everybody behaves, and nobody needs all of its time.
        service(&[(Ends(ms(10)), 200)], long, None),
        service(&[(Ends(ms(10)), 200), (Ends(ms(30)), 200), (Ends(ms(60)), 200)], long, None),
        service(
            &[
                (Ends(ms(60)), 300),
                (Ends(ms(5)), 100),
                (Ends(ms(40)), 100),
                (Ends(ms(90)), 100),
                (Ends(ms(20)), 100),
            ],
            long,
            None,
        ),
        // One needs nearly all the time there is.
        service(&[(Ends(ms(5)), 900), (Ends(ms(600)), 900), (Ends(ms(5)), 900)], 900, None),
        // None at all.
        service(&[], long, None),
        // Some have ended already, some panic.
        service(&[(Ends(ms(10)), 200), (HasEnded, 200), (Ends(ms(30)), 200)], long, None),
        service(
            &[(Ends(ms(10)), 200), (Panics(ms(30)), 200), (HasPanicked, 200), (Ends(ms(5)), 200)],
            long,
            None,
        ),
        // One is stuck, or too slow.
        service(&[(Ends(ms(10)), 200), (Hangs, 100), (Ends(ms(30)), 200)], long, None),
        service(&[(Ends(ms(10)), 200), (Ends(ms(20)), 150), (Ends(ms(400)), 120)], long, None),
        service(&[(Hangs, 70)], long, None),
        // All of them are, and have more time each than there is for all.
        service(&[(Hangs, 100), (Hangs, 100), (Hangs, 100), (Ends(ms(30)), 100)], 250, None),
        service(&[(Ends(ms(10)), 1000), (Hangs, 1000), (Ends(ms(300)), 1000)], 500, None),
        service(&[(Ends(ms(10)), 1000), (Ends(ms(10)), 1000), (Hangs, 1000)], 400, None),
        // The second signal: while the first part is waited for, and the second, and at once.
        service(&[(Ends(ms(10)), 5000), (Ends(ms(20)), 5000), (Ends(ms(300)), 5000)], long, Some(90)),
        service(&[(Ends(ms(10)), 5000), (Hangs, 5000), (Hangs, 5000), (Ends(ms(30)), 5000)], long, Some(80)),
        service(&[(Hangs, 5000), (Ends(ms(20)), 5000), (Ends(ms(30)), 5000)], long, Some(75)),
        service(&[(Ends(ms(10)), 5000), (HasPanicked, 5000), (Ends(ms(30)), 5000)], long, Some(0)),
        // Who had ended by itself has not been cut off, also when all patience is over before its turn.
        service(&[(HasEnded, 5000), (Ends(ms(30)), 5000)], long, Some(0)),
        service(&[(HasEnded, 1000), (Ends(ms(10)), 1000), (Hangs, 1000)], 400, None),
    ];
    for seed in 0..4 {
        // None ends in the very moment of its limit.
        let drawn = latencies(seed, NAMES.len());
        let parts = drawn.iter().enumerate().map(|(n, drains)| match n {
            1 if seed % 2 == 0 => (Hangs, *drains + ms(13)),
            3 if seed % 2 == 1 => (Panics(*drains), *drains + ms(13)),
            _ => (Ends(*drains), *drains + ms(29)),
        });
        services.push(Service { parts: parts.collect(), grace: ms(long), second: None });
    }
    services
}

/// How a part is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Finishes,
    Panics,
    /// Aborted, by this rule.
    Aborted(&'static str),
}

impl How {
    /// Its place in the report.
    const fn list(self) -> usize {
        match self {
            Self::Finishes => 0,
            Self::Panics => 1,
            Self::Aborted(_) => 2,
        }
    }
}

/// When a part is to be asked, if it is, and to have gone, counted from the beginning of the end.
struct Due {
    asked: Option<Duration>,
    gone: Duration,
    how: How,
}

impl Service {
    /// From when on nobody is waited for, and by which rule.
    fn over(&self) -> (Duration, &'static str) {
        match self.second {
            Some(second) if second < self.grace => (second, "second"),
            _ => (self.grace, "grace"),
        }
    }

    /// What is due of each part, the first to start first.
    fn due(&self) -> Vec<Due> {
        let (over, rule) = self.over();
        let mut at = Duration::ZERO;
        let mut due: Vec<Due> = Vec::new();
        for (does, limit) in self.parts.iter().rev() {
            let (takes, how) = match *does {
                Does::Ends(takes) => (takes, How::Finishes),
                Does::Panics(takes) => (takes, How::Panics),
                Does::Hangs => (Duration::MAX, How::Finishes),
                Does::HasEnded | Does::HasPanicked => {
                    let how = if *does == Does::HasEnded { How::Finishes } else { How::Panics };
                    due.push(Due { asked: None, gone: Duration::ZERO, how });
                    continue;
                }
            };
            let asked = (at < over).then_some(at);
            let ends = [
                (at.saturating_add(takes), how),
                (at + *limit, How::Aborted("limit")),
                (over.max(at), How::Aborted(rule)),
            ];
            let (gone, how) = ends.into_iter().min_by_key(|(at, _)| *at).unwrap_or((at, how));
            at = gone;
            due.push(Due { asked, gone, how });
        }
        due.reverse();
        due
    }

    /// When it is to return.
    fn returns(&self) -> Duration {
        self.due().iter().map(|due| due.gone).max().unwrap_or_default()
    }

    /// In the middle of what happens.
    fn moments(&self) -> Vec<Duration> {
        let mut ends: Vec<Duration> = self.due().iter().map(|due| due.gone).collect();
        ends.push(Duration::ZERO);
        ends.sort();
        ends.dedup();
        ends.windows(2).map(|pair| (pair[0] + pair[1]) / 2).map(whole).collect()
    }

    fn panics(&self) -> bool {
        self.parts.iter().any(|(does, _)| matches!(does, Does::Panics(_) | Does::HasPanicked))
    }

    fn name(&self) -> String {
        let part = |(n, (does, limit)): (usize, &(Does, Duration))| {
            let does = match does {
                Does::Ends(takes) => format!("needs {} of {}", time(*takes), time(*limit)),
                Does::Panics(takes) => format!("panics after {} of {}", time(*takes), time(*limit)),
                Does::Hangs => format!("never ends, limit {}", time(*limit)),
                Does::HasEnded => String::from("has ended already"),
                Does::HasPanicked => String::from("has panicked already"),
            };
            format!("{} {does}", NAMES[n])
        };
        let mut parts: Vec<String> = self.parts.iter().enumerate().map(part).collect();
        if parts.is_empty() {
            parts.push(String::from("no parts"));
        }
        let second = self.second.map(|second| format!("; `now` at {}", at(second))).unwrap_or_default();
        format!("{}; grace {}; SIGTERM at {}{second}", parts.join(", "), time(self.grace), time(SIGTERM))
    }
}

/// What was seen of a part, counted from the beginning of the end.
#[derive(Debug, Clone, Default)]
struct Seen {
    asked: Option<Duration>,
    gone: Option<Duration>,
    /// Whether it came to its own end.
    by_its_own: bool,
    /// Who had been asked already when it was dropped.
    too_early: Option<&'static str>,
}

/// What happens, as it happens.
#[derive(Clone)]
struct Ledger {
    recorder: Recorder,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    began: Duration,
    over: Duration,
    seen: Vec<Seen>,
    stops: Vec<CancellationToken>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self, n: usize) {
        let now = self.recorder.now();
        let mut shared = self.lock();
        let at = now.saturating_sub(shared.began);
        shared.seen[n].asked = Some(at);
    }

    fn ended(&self, n: usize) {
        self.lock().seen[n].by_its_own = true;
    }

    fn gone(&self, n: usize) {
        let now = self.recorder.now();
        let mut shared = self.lock();
        let at = now.saturating_sub(shared.began);
        // At the end of all patience everything may be aborted at once.
        let early = shared.stops[..n].iter().position(CancellationToken::is_cancelled);
        let early = early.filter(|_| at < shared.over).map(|n| NAMES[n]);
        let seen = &mut shared.seen[n];
        (seen.gone, seen.too_early) = (Some(at), early);
    }
}

/// Its drop is when a part has gone.
struct Here(Ledger, usize);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.gone(self.1);
    }
}

/// The parts of a service, at work, and what is seen of them.
async fn start(service: &Service, recorder: &Recorder) -> (Parts, Ledger, Vec<AbortHandle>) {
    let stops: Vec<CancellationToken> = service.parts.iter().map(|_| CancellationToken::new()).collect();
    let seen = vec![Seen::default(); stops.len()];
    let shared = Shared { began: Duration::MAX, over: service.over().0, seen, stops: stops.clone() };
    let ledger = Ledger { recorder: recorder.clone(), shared: Arc::new(Mutex::new(shared)) };
    // The pool closes a session with its server; the others drain what they have in flight.
    let takes = match service.parts.first() {
        Some((Does::Ends(takes) | Does::Panics(takes), _)) => (*takes, server::Outcome::Done),
        _ => (Duration::ZERO, server::Outcome::Hang),
    };
    let server = Server::new(recorder).on(Call::Close, "session", takes.0, takes.1);
    let mut session = server.open("session").await.ok();
    let mut parts = Parts::new();
    for (n, ((does, limit), stop)) in service.parts.iter().zip(stops).enumerate() {
        let (does, asked, here) = (*does, stop.clone(), Here(ledger.clone(), n));
        let session = session.take();
        let task = async move {
            let (ledger, n) = (here.0.clone(), here.1);
            match does {
                Does::HasEnded => return,
                Does::HasPanicked => curse(n),
                _ => asked.cancelled().await,
            }
            ledger.asked(n);
            if let Some(session) = session {
                session.close().await.ok();
            } else {
                match does {
                    Does::Ends(takes) | Does::Panics(takes) => sleep(takes).await,
                    _ => pending().await,
                }
            }
            ledger.ended(n);
            if matches!(does, Does::Panics(_)) {
                curse(n);
            }
            // The last to go.
            drop(here);
        };
        #[expect(clippy::disallowed_methods, reason = "the answer owns it, or is told that it does not")]
        let task = tokio::spawn(recorder.lane(NAMES[n], task));
        parts.push((NAMES[n], stop, *limit, task));
    }
    let aborts = parts.iter().map(|(_, _, _, task)| task.abort_handle()).collect();
    sleep(SIGTERM.saturating_sub(recorder.now())).await;
    ledger.lock().began = recorder.now();
    (parts, ledger, aborts)
}

fn curse(n: usize) {
    // Not `panic!`: a scripted panic is part of the case and has no business on the learner's screen.
    resume_unwind(Box::new(format!("{} is cursed", NAMES[n])));
}

/// A whole end.
fn one(answer: Answer<'_>, service: &Service) -> Checked {
    let case = Case::run(service.name(), async |recorder| {
        let (parts, ledger, aborts) = start(service, &recorder).await;
        let (began, now) = (recorder.now(), CancellationToken::new());
        if service.second.is_some_and(|second| second.is_zero()) {
            now.cancel();
        }
        let shutdown = recorder.lane("shutdown", answer(parts, service.grace, now.clone()));
        let shutdown = async {
            let told = shutdown.await;
            (told, recorder.now() - began)
        };
        let second = async {
            if let Some(second) = service.second {
                sleep(second).await;
                now.cancel();
            }
        };
        let ((told, returned), ()) = join!(shutdown, second);
        // What was aborted in the last moment gets the turn in which it goes; no time passes.
        let seen = ledger.lock().seen.clone();
        aborts.iter().for_each(AbortHandle::abort);
        tasks_left().await;
        (told, returned, seen)
    });
    let stuck = service.parts.iter().any(|(does, _)| *does == Does::Hangs);
    let case = case.map_err(|verdict| {
        let seen = verdict.finding.as_ref().map(|finding| finding.seen.clone()).unwrap_or_default();
        if stuck && verdict.kind == Kind::Deadlock {
            breaks(Kind::Deadlock, "limit", "a part that never ends is aborted")(verdict)
        } else if service.panics() && seen.contains("is cursed") {
            breaks(Kind::Panic, "named", "a part that panicked is in `panicked`, and the others are stopped")(
                verdict,
            )
        } else {
            verdict
        }
    })?;
    let (told, returned, seen) = &case.value;
    let due = service.due();
    in_order(&case, service, seen)?;
    in_time(&case, service, &due, seen)?;
    let returns = service.returns();
    let late = due.iter().rev().find_map(|due| match due.how {
        How::Aborted(rule) if due.gone == returns => Some(rule),
        _ => None,
    });
    case.rule(
        late.unwrap_or("prompt"),
        *returned <= returns + GRAIN,
        format!("`shutdown` returns at {}, when the last part has gone", at(returns)),
        format!("it returned at {}", at(*returned)),
    )?;
    for (n, word) in ["finished", "panicked", "aborted"].into_iter().enumerate() {
        let names = due.iter().zip(NAMES).rev().filter(|(due, _)| due.how.list() == n);
        let names: Vec<&str> = names.map(|(_, name)| name).collect();
        case.rule(
            "named",
            told[n] == names,
            format!("`{word}` is {names:?}"),
            format!("it is {:?}", told[n]),
        )?;
    }
    Ok(())
}

/// Nobody is asked while one that was started later is there.
fn in_order<T>(case: &Case<T>, service: &Service, seen: &[Seen]) -> Checked {
    let over = service.over().0;
    for (n, part) in seen.iter().enumerate() {
        let Some(asked) = part.asked.filter(|asked| *asked < over) else { continue };
        for (later, name) in seen.iter().zip(NAMES).skip(n + 1) {
            // Who never goes breaks another rule.
            let Some(gone) = later.gone else { continue };
            case.rule(
                "order",
                gone <= asked,
                format!("{} is asked to stop when {name} has gone, which was at {}", NAMES[n], at(gone)),
                format!("it was asked at {}", at(asked)),
            )?;
        }
    }
    for (part, name) in seen.iter().zip(NAMES) {
        let early = part.too_early.unwrap_or_default();
        case.rule(
            "order",
            part.too_early.is_none(),
            format!("{early} is asked to stop when {name} has gone, destructors included"),
            format!(
                "{early} had been asked before {name} was dropped, at {}",
                at(part.gone.unwrap_or_default())
            ),
        )?;
    }
    Ok(())
}

/// Each is asked and gone when it is to be, the last to start first.
fn in_time<T>(case: &Case<T>, service: &Service, due: &[Due], seen: &[Seen]) -> Checked {
    let parts = due.iter().zip(seen).zip(&service.parts).zip(NAMES);
    for (((due, seen), (does, limit)), name) in parts.rev() {
        if matches!(does, Does::HasEnded | Does::HasPanicked) {
            continue;
        }
        if let Some(asked) = due.asked {
            case.rule(
                if seen.gone.is_some_and(|gone| gone + GRAIN < due.gone) { "drains" } else { "prompt" },
                seen.asked.is_some_and(|seen| seen <= asked + GRAIN),
                format!("{name} is asked to stop at {}", at(asked)),
                match seen.asked {
                    Some(seen) => format!("it was asked at {}", at(seen)),
                    None => String::from("it was never asked"),
                },
            )?;
        }
        let gone = seen.gone.map_or_else(
            || String::from("when `shutdown` had returned, it was still there"),
            |gone| format!("it {} at {}", if seen.by_its_own { "ended" } else { "was aborted" }, at(gone)),
        );
        let expected = match due.how {
            How::Aborted("limit") => {
                format!(
                    "{name}, asked at {}, has {}, and is aborted at {}",
                    at(due.asked.unwrap_or_default()),
                    time(*limit),
                    at(due.gone)
                )
            }
            How::Aborted("grace") => {
                format!("{name} is aborted at {}, when the grace is over", at(due.gone))
            }
            How::Aborted(_) => format!("{name} is aborted at {}, when `now` is cancelled", at(due.gone)),
            _ => format!("{name} is left alone until it ends by itself, at {}", at(due.gone)),
        };
        let early = seen.gone.is_some_and(|gone| gone + GRAIN < due.gone);
        let cut = matches!(due.how, How::Finishes | How::Panics) && seen.gone.is_some() && !seen.by_its_own;
        case.rule("drains", !early && !cut, &expected, &gone)?;
        let rule = if let How::Aborted(rule) = due.how { rule } else { "drains" };
        case.rule(rule, seen.gone.is_some_and(|gone| gone <= due.gone + GRAIN), &expected, &gone)?;
    }
    Ok(())
}

/// Dropped in the middle.
fn dropped(answer: Answer<'_>, service: &Service, after: Duration) -> Checked {
    let case = Case::run(format!("{}; dropped at {}", service.name(), at(after)), async |recorder| {
        let (parts, ledger, aborts) = start(service, &recorder).await;
        let now = CancellationToken::new();
        let shutdown = recorder.lane("shutdown", answer(parts, service.grace, now.clone()));
        let drops = async {
            match service.second.filter(|second| *second < after) {
                Some(second) => {
                    sleep(second).await;
                    now.cancel();
                    sleep(after - second).await;
                }
                None => sleep(after).await,
            }
        };
        select! {
            biased;
            () = drops => {}
            _ = shutdown => {}
        }
        let tasks = tasks_left().await;
        let seen = ledger.lock().seen.clone();
        aborts.iter().for_each(AbortHandle::abort);
        tasks_left().await;
        (tasks, seen)
    })?;
    let (tasks, seen) = &case.value;
    let left = seen.iter().zip(NAMES).filter(|(seen, _)| seen.gone.is_none());
    let left: Vec<&str> = left.map(|(_, name)| name).collect();
    case.rule(
        "dropped",
        *tasks == 0 && left.is_empty(),
        format!("dropped at {}, every part is aborted, and nothing else runs on", at(after)),
        match left.as_slice() {
            [] => format!("{tasks} tasks run on"),
            [one] => format!("{one} runs on"),
            left => format!("{} run on", left.join(", ")),
        },
    )
}

/// So long after the beginning of the end, on the picture's clock.
fn at(after: Duration) -> String {
    time(SIGTERM + after)
}

/// Timers know whole milliseconds.
fn whole(at: Duration) -> Duration {
    ms(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
