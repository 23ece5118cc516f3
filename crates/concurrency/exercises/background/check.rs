//! What is verified on any answer to `background`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, CallEnd, FetchError, Outcome},
    draw::time,
    verdict::Kind,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What the operator of the shop is told about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incident {
    /// It gave this error.
    Failed(FetchError),
    /// It panicked, and this is what the panic said.
    Panicked(String),
    /// It failed too often, and is not begun again.
    GivenUp,
    /// It had not finished when the time for the shutdown was over, and was cut off.
    Aborted,
}

impl Incident {
    /// From what `JoinError::into_panic`, or `catch_unwind`, gives.
    #[allow(dead_code, reason = "the program as it is shipped has no use for it")]
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self::Panicked(concurrency::Panic::new(payload).message().to_owned())
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::GivenUp => f.write_str("given up"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

/// Who has to know what goes wrong. Clones tell the same one; telling takes no time.
#[derive(Clone)]
pub(crate) struct Operator {
    told: Arc<Mutex<Vec<Told>>>,
    recorder: Recorder,
}

impl Operator {
    /// Tells of an incident in the task with this name.
    pub(crate) fn tell(&self, task: impl Into<String>, incident: Incident) {
        lock(&self.told).push(Told { at: self.recorder.now(), task: task.into(), incident });
    }
}

#[derive(Debug, Clone)]
struct Told {
    at: Duration,
    task: String,
    incident: Incident,
}

type Answer<'a> = &'a dyn Fn(Backend, Receiver<u32>, Operator, CancellationToken) -> BoxFuture<'static, ()>;

const PRICES: u32 = 1;
const AUDIT: u32 = 1000;
const MAIL: u32 = 2000;

const EVERY: Duration = ms(100);
const PAUSE: Duration = ms(50);
const FAILURES: usize = 4;
const GRACE: Duration = ms(300);
/// From this number on, orders come after the shutdown began.
const LATE: u32 = 90;
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Receiver<u32>, Operator, CancellationToken) -> F) -> Verdict
where
    F: Future<Output = ()> + Send + 'static,
{
    let answer: Answer<'_> =
        &|backend, orders, operator, shutdown| answer(backend, orders, operator, shutdown).boxed();
    verdict(|| {
        for day in days() {
            serves(answer, &day)?;
        }
        for after in [0, 15, 58, 92, 134, 257] {
            stops(answer, ms(after))?;
        }
        Ok(())
    })
}

/// What comes in, and what the backend makes of it.
#[derive(Debug, Clone)]
struct Day {
    name: String,
    /// When each order comes.
    orders: Vec<(Duration, u32)>,
    /// Calls about orders with a script of their own; the others are answered after 10 ms.
    calls: Vec<(u32, Duration, Outcome)>,
    /// How the fetches of the prices end, one after the other; from then on, well.
    prices: Vec<Outcome>,
    /// How long each of them takes,
    fetch: Duration,
    /// but for this one.
    slow: Option<(usize, Duration)>,
    stop: Duration,
    /// Whether the shutdown is asked for, or there are no more orders.
    by_token: bool,
}

use Outcome::{Fail, Hang, Panic, Reply, TimeOut};

fn days() -> Vec<Day> {
    let orders = |orders: &[(u64, u32)]| -> Vec<(Duration, u32)> {
        orders.iter().map(|(at, order)| (ms(*at), *order)).collect()
    };
    let calls = |calls: &[(u32, u64, Outcome)]| -> Vec<(u32, Duration, Outcome)> {
        calls.iter().map(|(id, latency, outcome)| (*id, ms(*latency), *outcome)).collect()
    };
    let plain = Day {
        name: String::new(),
        orders: Vec::new(),
        calls: Vec::new(),
        prices: Vec::new(),
        fetch: ms(10),
        slow: None,
        // At no time at which anything else happens.
        stop: ms(153),
        by_token: true,
    };
    let failing = Day {
        name: String::from("3 orders: mail 2 and the audit line of order 1 fail"),
        orders: orders(&[(20, 1), (30, 2), (60, 3)]),
        calls: calls(&[(MAIL + 2, 20, Fail), (AUDIT + 1, 10, TimeOut)]),
        ..plain.clone()
    };
    let panicking = Day {
        name: String::from("3 orders: mail 2 and the audit line of order 1 panic"),
        orders: orders(&[(20, 1), (30, 2), (60, 3)]),
        calls: calls(&[(MAIL + 2, 20, Panic), (AUDIT + 1, 10, Panic)]),
        ..plain.clone()
    };
    let mut all = vec![failing, panicking];
    for (seed, count) in [(1, 5), (2, 12), (3, 40)] {
        all.push(crowd(seed, count, &plain));
    }
    for (name, prices) in [
        ("the prices fail, time out, and are there again", vec![Fail, TimeOut, Reply, Fail, Reply]),
        ("the refresher panics, three times in a row", vec![Reply, Panic, Panic, Panic, Reply, Panic]),
        ("five failures of the refresher, never four in a row", vec![Fail, Panic, Reply, Fail, Fail, Fail]),
        ("the refresher fails four times in a row", vec![Reply, Fail, Fail, TimeOut, Fail]),
        ("the refresher fails and panics, four times in a row", vec![Panic, Fail, Panic, Panic]),
    ] {
        all.push(Day {
            name: String::from(name),
            orders: orders(&[(5, 1), (600, 2)]),
            prices,
            stop: ms(1503),
            ..plain.clone()
        });
    }
    for by_token in [true, false] {
        all.push(Day {
            name: format!("shutdown at 63 ms, {} with 3 mails and 2 audit lines to do", by(by_token)),
            orders: orders(&[(20, 1), (30, 2), (40, 3)]),
            calls: calls(&[
                (MAIL + 1, 100, Reply),
                (MAIL + 2, 120, Fail),
                (MAIL + 3, 70, Panic),
                (AUDIT + 1, 30, Reply),
                (AUDIT + 2, 40, Fail),
                (AUDIT + 3, 50, Reply),
            ]),
            stop: ms(63),
            by_token,
            ..plain.clone()
        });
    }
    for (name, prices, fetch, stop) in [
        ("shutdown at 43 ms, in a pause of the refresher", vec![Fail, Fail, Fail], 10, 43),
        ("shutdown at 63 ms, while prices are fetched", vec![Reply], 200, 63),
        ("shutdown at 63 ms, and nothing to do", vec![], 10, 63),
    ] {
        all.push(Day { name: String::from(name), prices, fetch: ms(fetch), stop: ms(stop), ..plain.clone() });
    }
    all.push(Day {
        name: String::from("shutdown at 63 ms, mails 1 and 3 take too long for it"),
        orders: orders(&[(20, 1), (30, 2), (40, 3)]),
        calls: calls(&[(MAIL + 1, 1, Hang), (MAIL + 2, 100, Reply), (MAIL + 3, 900, Reply)]),
        stop: ms(63),
        ..plain.clone()
    });
    all.push(Day {
        name: String::from("no more orders at 83 ms, the audit log takes too long"),
        orders: orders(&[(20, 1), (30, 2), (40, 3)]),
        calls: calls(&[(MAIL + 2, 100, Reply), (AUDIT + 2, 900, Reply)]),
        stop: ms(83),
        by_token: false,
        ..plain.clone()
    });
    all.push(Day {
        name: String::from("the third fetch of the prices takes 500 ms"),
        slow: Some((2, ms(500))),
        stop: ms(1553),
        ..plain.clone()
    });
    // More at once than any small buffer holds, or the channel that they come through.
    let many: Vec<(Duration, u32)> = (1..=70).map(|order| (ms(20), order)).collect();
    let mut lines: Vec<(u32, Duration, Outcome)> =
        many.iter().map(|(_, order)| (AUDIT + order, ms(2), Reply)).collect();
    lines[0] = (AUDIT + 1, ms(100), Reply);
    for stop in [303, 53] {
        all.push(Day {
            name: format!("70 orders at once, the first audit line takes 100 ms, shutdown at {stop} ms"),
            orders: many.clone(),
            calls: lines.clone(),
            stop: ms(stop),
            ..plain.clone()
        });
    }
    for by_token in [true, false] {
        all.push(Day {
            name: format!("70 orders at once, the audit log hangs, shutdown at 53 ms, {}", by(by_token)),
            orders: many.clone(),
            calls: calls(&[(AUDIT + 1, 1, Hang), (MAIL + 3, 40, Fail), (MAIL + 70, 20, Panic)]),
            stop: ms(53),
            by_token,
            ..plain.clone()
        });
    }
    all
}

const fn by(token: bool) -> &'static str {
    if token { "asked for" } else { "for want of orders" }
}

/// Many orders, of which some fail, in every order of ends.
fn crowd(seed: u64, count: u32, plain: &Day) -> Day {
    let drawn = latencies(seed, count as usize);
    let mut calls = Vec::new();
    for (n, (order, latency)) in shuffled(seed, count).into_iter().zip(drawn).enumerate() {
        let outcome = [Reply, Fail, Reply, Panic, TimeOut][n % 5];
        calls.push((MAIL + order, latency.min(ms(120)), outcome));
        calls.push((AUDIT + order, ms(5), [Reply, Reply, Panic, Fail][n % 4]));
    }
    Day {
        name: format!("{count} orders, every other mail goes wrong, and so do audit lines"),
        orders: shuffled(seed + 9, count)
            .into_iter()
            .map(|order| (ms(6 * u64::from(order)), order))
            .collect(),
        calls,
        prices: vec![Reply, Fail],
        stop: ms(6 * u64::from(count) + 23),
        ..plain.clone()
    }
    .sorted()
}

impl Day {
    fn sorted(mut self) -> Self {
        self.orders.sort();
        self
    }

    fn backend(&self, recorder: &Recorder) -> Backend {
        let mut backend = Backend::new(recorder);
        for (id, latency, outcome) in &self.calls {
            backend = backend.on(*id, *latency, *outcome);
        }
        backend
    }

    /// Sets the script for the next fetch of the prices as soon as the one before has begun.
    async fn direct(&self, backend: &Backend) {
        loop {
            let begun = backend.calls().iter().filter(|call| call.id == PRICES).count();
            let outcome = self.prices.get(begun).copied().unwrap_or(Reply);
            let takes = self.slow.filter(|(nth, _)| *nth == begun).map_or(self.fetch, |(_, takes)| takes);
            drop(backend.clone().on(PRICES, takes, outcome));
            sleep(ms(1)).await;
        }
    }

    /// What has to be told of a call that ended badly: number `nth` of those for its id.
    fn incident(&self, call: &Call, nth: usize) -> Option<Told> {
        let (at, end) = call.ended?;
        let outcome = match call.id {
            PRICES => self.prices.get(nth).copied(),
            id => self.calls.iter().find(|(scripted, ..)| *scripted == id).map(|(.., outcome)| *outcome),
        };
        let incident = match end {
            CallEnd::Failed if outcome == Some(TimeOut) => {
                Incident::Failed(FetchError::TimedOut { id: call.id })
            }
            CallEnd::Failed => Incident::Failed(FetchError::Unavailable { id: call.id }),
            CallEnd::Panicked => Incident::Panicked(format!("item {} is cursed", call.id)),
            CallEnd::Replied | CallEnd::Dropped => return None,
        };
        Some(Told { at, task: task_of(call.id), incident })
    }
}

fn task_of(id: u32) -> String {
    match id {
        PRICES => String::from("refresher"),
        id if id > MAIL => format!("mail {}", id - MAIL),
        _ => String::from("audit"),
    }
}

/// What was seen of a run. It stays when the run itself is not worth its value: after a leak.
#[derive(Debug, Clone, Default)]
struct Seen {
    told: Vec<Told>,
    calls: Vec<Call>,
    returned: Option<Duration>,
    /// Alive after the return.
    tasks: usize,
    running: Vec<u32>,
}

struct Judged<'a> {
    run: Checked<Case<()>>,
    seen: Seen,
    day: &'a Day,
}

impl Judged<'_> {
    /// As [`Case::rule`], for a run that left tasks behind, too: the rule says more than the leak.
    fn rule(&self, rule: &str, kept: bool, expected: impl fmt::Display, seen: impl fmt::Display) -> Checked {
        match &self.run {
            Ok(case) => case.rule(rule, kept, expected, seen),
            Err(_) if kept => Ok(()),
            Err(leak) => {
                let mut verdict = breaks(Kind::Leak, rule, &expected.to_string())(leak.clone());
                if let Some(finding) = &mut verdict.finding {
                    finding.seen = seen.to_string();
                }
                Err(verdict)
            }
        }
    }
}

fn serves(answer: Answer<'_>, day: &Day) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let run = Case::run(day.name.clone(), async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let operator = Operator { told: Arc::default(), recorder: recorder.clone() };
        let (order, orders) = mpsc::channel(64);
        let shutdown = CancellationToken::new();
        let until = async |at: Duration| sleep(at.saturating_sub(recorder.now())).await;
        let send = async {
            for (at, number) in &day.orders {
                until(*at).await;
                order.send(*number).await.ok();
            }
            until(day.stop).await;
            if day.by_token {
                shutdown.cancel();
                // These come too late: one in the same moment, and waits when the shutdown is seen; the others later.
                order.try_send(LATE).ok();
                for number in LATE + 1..LATE + 4 {
                    sleep(ms(5)).await;
                    order.send(number).await.ok();
                }
            }
            drop(order);
            // No shutdown takes longer.
            sleep(GRACE + ms(1000)).await;
        };
        let serve = async {
            answer(backend.clone(), orders, operator.clone(), shutdown.clone()).await;
            lock(&seen).returned = Some(recorder.now());
        };
        let run = async {
            tokio::select! {
                biased;
                () = day.direct(&backend) => {}
                () = serve => {}
                () = send => {}
            }
        };
        run.await;
        note_what_is_left(&backend, &seen).await;
        // Time to tell of it late.
        sleep(ms(500)).await;
        lock(&seen).told = lock(&operator.told).clone();
    });
    let run = run.map_err(breaks_when_cursed);
    let seen = lock(&shared).clone();
    let judged = Judged { run, seen, day };
    if let Err(verdict) = &judged.run
        && verdict.kind != Kind::Leak
    {
        return Err(verdict.clone());
    }
    tells(&judged)?;
    takes_orders(&judged)?;
    refreshes(&judged)?;
    shuts_down(&judged)?;
    leaves_nothing(&judged)?;
    judged.run.map(drop)
}

/// A panic of a call that got through breaks `panics`; one of the answer's own is the answer's own.
fn breaks_when_cursed(verdict: Box<Verdict>) -> Box<Verdict> {
    if verdict.finding.as_ref().is_some_and(|finding| finding.seen.contains("is cursed")) {
        return breaks(Kind::Panic, "panics", "a panic in the background is told, and stops nobody else")(
            verdict,
        );
    }
    verdict
}

async fn note_what_is_left(backend: &Backend, seen: &Mutex<Seen>) {
    // An aborted task goes when the scheduler next looks at it; it gets that chance, but no time.
    let tasks = tasks_left().await;
    let calls = backend.calls();
    let mut seen = lock(seen);
    seen.tasks = tasks;
    seen.running = calls.iter().filter(|call| call.ended.is_none()).map(|call| call.id).collect();
    seen.calls = calls;
}

/// `told` and `panics`: each incident once, when it happens; and nothing else.
fn tells(judged: &Judged<'_>) -> Checked {
    let mut told: Vec<&Told> = judged
        .seen
        .told
        .iter()
        .filter(|told| !matches!(told.incident, Incident::GivenUp | Incident::Aborted))
        .collect();
    let mut nth = 0;
    for call in &judged.seen.calls {
        let incident = judged.day.incident(call, nth);
        nth += usize::from(call.id == PRICES);
        let Some(due) = incident else { continue };
        let rule = if matches!(due.incident, Incident::Panicked(_)) { "panics" } else { "told" };
        let expected = format!("`{}`: {}, told at {}", due.task, due.incident, time(due.at));
        let of_it = |told: &&Told| told.task == due.task && told.incident == due.incident;
        let Some(place) = told.iter().position(of_it) else {
            let here = told.iter().filter(|told| told.at >= due.at && told.at <= due.at + GRAIN);
            let here: Vec<String> = here.map(|told| format!("`{}`: {}", told.task, told.incident)).collect();
            let seen = if here.is_empty() { String::from("nothing was told") } else { here.join(", ") };
            return judged.rule(rule, false, expected, seen);
        };
        let at = told.remove(place).at;
        judged.rule(
            rule,
            at >= due.at && at <= due.at + GRAIN,
            expected,
            format!("it was told at {}", time(at)),
        )?;
    }
    match told.first() {
        None => Ok(()),
        Some(more) => judged.rule(
            if matches!(more.incident, Incident::Panicked(_)) { "panics" } else { "told" },
            false,
            "each incident is told once",
            format!("once more at {}: `{}`: {}", time(more.at), more.task, more.incident),
        ),
    }
}

/// `orders`, and of `panics` that the others go on.
fn takes_orders(judged: &Judged<'_>) -> Checked {
    let day = judged.day;
    // The line before this one was written until then.
    let mut before = Duration::ZERO;
    let mut panicked = None;
    for (at, order) in &day.orders {
        let of = |id: u32| judged.seen.calls.iter().filter(move |call| call.id == id).collect::<Vec<_>>();
        for (what, id, due) in [("mail", MAIL + order, *at), ("audit line", AUDIT + order, (*at).max(before))]
        {
            let found = of(id);
            let rule = if panicked.is_some() && id < MAIL { "panics" } else { "orders" };
            let why = panicked.filter(|_| id < MAIL);
            let why = why.map(|order| format!(", after the panic on order {order}")).unwrap_or_default();
            // What a line is worth whose turn came only in the shutdown, is looked at there.
            if found.is_empty() && due >= day.stop {
                continue;
            }
            let seen = if found.is_empty() { String::from("none") } else { found.len().to_string() };
            judged.rule(rule, found.len() == 1, format!("one {what} for order {order}{why}"), seen)?;
            let started = found[0].started;
            judged.rule(
                rule,
                started >= due && started <= due + GRAIN,
                format!("the {what} of order {order} begins at {}{why}", time(due)),
                format!("it begins at {}", time(started)),
            )?;
            if id < MAIL {
                let ended = found[0].ended;
                before = ended.map_or(Duration::MAX, |(at, _)| at);
                if matches!(ended, Some((_, CallEnd::Panicked))) {
                    panicked.get_or_insert(*order);
                }
            }
        }
    }
    Ok(())
}

/// `restarts` and `gives-up`.
fn refreshes(judged: &Judged<'_>) -> Checked {
    let fetches: Vec<&Call> = judged.seen.calls.iter().filter(|call| call.id == PRICES).collect();
    let stop = judged.day.stop;
    judged.rule(
        "restarts",
        fetches.first().is_some_and(|first| first.started <= GRAIN),
        "the prices are fetched at the start",
        fetches.first().map_or(String::from("never"), |first| format!("first at {}", time(first.started))),
    )?;
    let mut failures = 0;
    for (n, fetch) in fetches.iter().enumerate() {
        let Some((ended, end)) = fetch.ended else { break };
        let next = fetches.get(n + 1).map(|next| next.started);
        failures = match end {
            CallEnd::Failed | CallEnd::Panicked => failures + 1,
            CallEnd::Replied => 0,
            CallEnd::Dropped if ended >= stop => break,
            CallEnd::Dropped => {
                return judged.rule(
                    "restarts",
                    false,
                    "a fetch is seen to its end",
                    format!("it was dropped at {}", time(ended)),
                );
            }
        };
        let given_up: Vec<Duration> = judged
            .seen
            .told
            .iter()
            .filter(|told| told.task == "refresher" && told.incident == Incident::GivenUp)
            .map(|told| told.at)
            .collect();
        if failures == FAILURES {
            judged.rule(
                "gives-up",
                next.is_none(),
                format!("no fetch after {FAILURES} failures in a row"),
                format!("another one at {}", time(next.unwrap_or_default())),
            )?;
            let told: Vec<String> = given_up.iter().map(|at| time(*at)).collect();
            let (due, told) = (time(ended), told.join(" and "));
            return judged.rule(
                "gives-up",
                given_up.len() == 1 && given_up[0] >= ended && given_up[0] <= ended + GRAIN,
                format!("the refresher is given up, and that is told at {due}"),
                if told.is_empty() { String::from("it was not told") } else { format!("told at {told}") },
            );
        }
        judged.rule(
            "gives-up",
            !given_up.iter().any(|at| *at <= ended + GRAIN),
            format!("it goes on: {failures} failures in a row at {}, and not {FAILURES}", time(ended)),
            "it is given up",
        )?;
        let (least, most) = if failures == 0 {
            // Since the end of the fetch, or since its beginning: both are every 100 ms.
            (EVERY.saturating_sub(ended - fetch.started), EVERY)
        } else {
            let full = PAUSE * (1 << (failures - 1));
            (full / 2, full)
        };
        let after = match failures {
            0 => String::from("a fetch that succeeded"),
            1 => String::from("the first failure in a row"),
            n => format!("failure {n} in a row"),
        };
        let expected = format!("the next fetch {} after {after} at {}", time(most), time(ended));
        let Some(next) = next else {
            // A shutdown ends a pause.
            let rule = if failures > 0 || ended < stop { "restarts" } else { "shutdown" };
            judged.rule(rule, ended + most + GRAIN >= stop, expected, "none any more")?;
            break;
        };
        judged.rule(
            if next >= stop { "shutdown" } else { "restarts" },
            next < stop && next >= ended + least && next <= ended + most + GRAIN,
            if next >= stop { String::from("no fetch once the shutdown has begun") } else { expected },
            format!("the next one {} after it", time(next - ended)),
        )?;
    }
    let told = judged.seen.told.iter().find(|told| told.incident == Incident::GivenUp);
    judged.rule(
        "gives-up",
        told.is_none(),
        "nothing is given up",
        told.map_or_else(String::new, |told| format!("`{}` is, at {}", told.task, time(told.at))),
    )
}

/// `shutdown` and `deadline`.
fn shuts_down(judged: &Judged<'_>) -> Checked {
    let (day, seen) = (judged.day, &judged.seen);
    let over = day.stop + GRACE;
    let late: Vec<String> = seen
        .calls
        .iter()
        .filter(|call| call.id % 1000 >= LATE)
        .map(|call| format!("{}", call.id % 1000))
        .collect();
    judged.rule(
        "shutdown",
        late.is_empty(),
        format!("no order is taken after the shutdown began, at {}", time(day.stop)),
        format!("order {} is", late.first().cloned().unwrap_or_default()),
    )?;
    // What was cut off, and when; and what never came to be.
    let mut cut = Vec::new();
    let mut done = day.stop;
    for (_, order) in &day.orders {
        for id in [MAIL + order, AUDIT + order] {
            let call = seen.calls.iter().find(|call| call.id == id);
            match call.and_then(|call| call.ended) {
                Some((at, CallEnd::Dropped)) => {
                    judged.rule(
                        "shutdown",
                        at + GRAIN >= over,
                        format!("what is under way has {} to finish, until {}", time(GRACE), time(over)),
                        format!("{} was cut off at {}", call_named(id), time(at)),
                    )?;
                    cut.push(id);
                }
                Some((at, _)) => done = done.max(at),
                None => cut.push(id),
            }
        }
    }
    let due = if cut.is_empty() { done } else { over };
    let (rule, expected) = if cut.is_empty() {
        ("shutdown", format!("`serve` returns at {}, as soon as mails and audit lines are done", time(due)))
    } else {
        ("deadline", format!("`serve` returns at {}, {} after the shutdown began", time(due), time(GRACE)))
    };
    let hasty = seen.told.iter().find(|told| {
        told.incident == Incident::Aborted && (told.at + GRAIN < over || told.task == "refresher")
    });
    if let Some(told) = hasty {
        let expected = if told.task == "refresher" {
            String::from("the refresher ends without a word")
        } else {
            format!("what is not done has {} to finish, until {}", time(GRACE), time(over))
        };
        let seen = format!("`{}` is told as aborted at {}", told.task, time(told.at));
        return judged.rule("shutdown", false, expected, seen);
    }
    let returned = seen.returned;
    judged.rule(
        if returned.is_some_and(|at| at + GRAIN < due) { "shutdown" } else { rule },
        returned.is_some_and(|at| at + GRAIN >= due && at <= due + GRAIN),
        expected,
        returned.map_or_else(
            || String::from("it does not return"),
            |at| match cut.first().filter(|_| at + GRAIN < due) {
                Some(id) => format!("it returns at {}, before {}", time(at), call_named(*id)),
                None => format!("it returns at {}", time(at)),
            },
        ),
    )?;
    let mut told: Vec<String> = seen
        .told
        .iter()
        .filter(|told| told.incident == Incident::Aborted)
        .map(|told| told.task.clone())
        .collect();
    let mut wanted: Vec<String> = cut.into_iter().map(task_of).collect();
    for tasks in [&mut told, &mut wanted] {
        tasks.sort();
    }
    // However many lines are left: it is one task.
    wanted.dedup();
    judged.rule(
        "deadline",
        told == wanted,
        format!("told as aborted: {}", listed(&wanted)),
        format!("told as aborted: {}", listed(&told)),
    )
}

fn call_named(id: u32) -> String {
    if id > MAIL { format!("mail {}", id - MAIL) } else { format!("the audit line of order {}", id - AUDIT) }
}

fn listed(tasks: &[String]) -> String {
    if tasks.is_empty() { String::from("none") } else { tasks.join(", ") }
}

/// `nothing-left`.
fn leaves_nothing(judged: &Judged<'_>) -> Checked {
    let Seen { tasks, running, .. } = &judged.seen;
    judged.rule(
        "nothing-left",
        *tasks == 0 && running.is_empty(),
        "nothing that `serve` began is alive when it has returned",
        alive(*tasks, running),
    )
}

fn alive(tasks: usize, running: &[u32]) -> String {
    let count = tasks.max(running.len());
    let tasks = if count == 1 { String::from("1 task is alive") } else { format!("{count} tasks are alive") };
    if running.is_empty() {
        return tasks;
    }
    let mut names: Vec<String> = running.iter().map(|id| task_of(*id)).collect();
    names.sort();
    names.dedup();
    format!("{tasks}, in a call: {}", names.join(", "))
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let name = format!("3 orders, shutdown at 63 ms, dropped at {}", time(after));
    let day = Day {
        name: name.clone(),
        orders: vec![(ms(0), 1), (ms(0), 2), (ms(0), 3)],
        calls: vec![(MAIL + 1, ms(200), Reply), (MAIL + 2, ms(1), Hang), (AUDIT + 2, ms(400), Reply)],
        prices: vec![Fail, Fail, Fail, Fail],
        fetch: ms(10),
        slow: None,
        stop: ms(63),
        by_token: true,
    };
    let run = Case::run(name, async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let operator = Operator { told: Arc::default(), recorder: recorder.clone() };
        let (order, orders) = mpsc::channel(16);
        for (_, number) in &day.orders {
            order.send(*number).await.ok();
        }
        let shutdown = CancellationToken::new();
        let serve = answer(backend.clone(), orders, operator, shutdown.clone());
        let stop = async {
            sleep(day.stop).await;
            shutdown.cancel();
        };
        timeout(after, async {
            tokio::select! {
                () = day.direct(&backend) => {}
                _ = async { tokio::join!(serve, stop) } => {}
            }
        })
        .await
        .ok();
        note_what_is_left(&backend, &seen).await;
    });
    let seen = lock(&shared).clone();
    let judged = Judged { run, seen, day: &day };
    let Seen { tasks, running, .. } = &judged.seen;
    judged.rule(
        "nothing-left",
        *tasks == 0 && running.is_empty(),
        "nothing that `serve` began is alive when it has been dropped",
        alive(*tasks, running),
    )?;
    judged.run.map(drop)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
