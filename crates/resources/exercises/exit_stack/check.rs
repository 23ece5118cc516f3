//! What is verified on any answer to `exit_stack`.

use common::{
    Recorder, Verdict,
    draw::time,
    server::{Call, Line, Outcome, Payload, Server, ServerError, Session, What},
    verdict::Kind,
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use resources::CloseError;
use std::{future::poll_fn, panic::resume_unwind, task::Poll, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

const LIMIT: Duration = ms(50);
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);
const NAMES: [&str; 6] = ["telemetry", "database", "cache", "broker", "registry", "billing"];

pub(crate) type Failures = Vec<(String, CloseError<ServerError>)>;

/// A stack of an answer.
pub(crate) trait Stack: Send {
    fn push(&mut self, session: Session);
    fn close(self: Box<Self>) -> BoxFuture<'static, Failures>;
}

/// What makes stacks of the type `ExitStack` of a module.
macro_rules! stacks {
    ($($module:ident)::+) => {
        |tasks| -> Box<dyn check::Stack> {
            struct It($($module)::+::ExitStack);
            impl check::Stack for It {
                fn push(&mut self, session: common::server::Session) {
                    self.0.push(session);
                }
                fn close(self: Box<Self>) -> futures_util::future::BoxFuture<'static, check::Failures> {
                    Box::pin(self.0.close())
                }
            }
            Box::new(It($($module)::+::ExitStack::new(tasks)))
        }
    };
}
pub(crate) use stacks;

type Make<'a> = &'a dyn Fn(TaskTracker) -> Box<dyn Stack>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(make: impl Fn(TaskTracker) -> Box<dyn Stack>) -> Verdict {
    let make: Make<'_> = &make;
    verdict(|| {
        let scripts = scripts();
        for script in &scripts {
            one(make, script, Notice::None)?;
        }
        for script in &scripts {
            one(make, script, Notice::DropStack)?;
            for after in script.moments() {
                one(make, script, Notice::Drop(after))?;
            }
        }
        for script in &scripts[..4] {
            for notice in [Notice::Unpolled, Notice::Panic, Notice::ShutDown] {
                one(make, script, notice)?;
            }
            for polls in 1..10 {
                one(make, script, Notice::DropAtPoll(polls))?;
            }
        }
        for payload in [Payload::Literal, Payload::Other] {
            for script in &scripts {
                if script.0.iter().any(|(_, outcome)| *outcome == Outcome::Panic) {
                    one(make, &Script(script.0.clone(), payload), Notice::None)?;
                }
            }
        }
        several(make, &scripts, [Notice::None, Notice::Drop(ms(15)), Notice::None])?;
        several(make, &scripts, [Notice::Drop(ms(5)), Notice::Drop(ms(15)), Notice::DropStack])?;
        several(make, &scripts, [Notice::DropStack; 3])
    })
}

/// How long each closing takes and how it ends, in the order of the pushes.
#[derive(Debug, Clone)]
struct Script(Vec<(Duration, Outcome)>, Payload);

fn scripts() -> Vec<Script> {
    let script = |closings: &[(u64, Outcome)]| {
        let closings = closings.iter().map(|(millis, outcome)| (ms(*millis), *outcome));
        Script(closings.collect(), Payload::Formatted)
    };
    let (done, fail, panic, hang) = (Outcome::Done, Outcome::Fail, Outcome::Panic, Outcome::Hang);
    let mut scripts = vec![
        script(&[(20, done), (10, done), (30, done)]),
        script(&[(10, done), (20, fail), (10, fail), (30, done)]),
        script(&[(30, done), (10, panic), (20, done), (10, panic), (20, fail)]),
        // The last one would end by itself, but late.
        script(&[(20, done), (40, done), (200, done), (10, done)]),
        script(&[(15, done), (0, hang), (20, panic), (0, hang), (10, fail), (45, done)]),
        script(&[(70, done), (80, fail)]),
        script(&[(10, done)]),
        script(&[(10, panic)]),
        script(&[]),
    ];
    scripts.extend((0..3).map(|seed| {
        let drawn = latencies(seed, 4);
        let outcomes = [done, fail, done, panic];
        Script(drawn.into_iter().zip(outcomes).collect(), Payload::Formatted)
    }));
    scripts
}

/// What comes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    None,
    /// The stack is dropped, and `close` is never called.
    DropStack,
    /// Whoever has the stack panics.
    Panic,
    /// The program shuts down, and has closed `tasks`, when the stack is dropped.
    ShutDown,
    /// `close` is called and dropped before it was polled.
    Unpolled,
    /// `close` is dropped after a time.
    Drop(Duration),
    /// `close` is dropped when it has been polled so many times.
    DropAtPoll(usize),
}

impl Script {
    fn server(&self, recorder: &Recorder, shift: usize) -> Server {
        let closings = self.0.iter().enumerate();
        closings.fold(Server::new(recorder).panics_with(self.1), |server, (n, (takes, outcome))| {
            server.on(Call::Close, named(n + shift), *takes, *outcome)
        })
    }

    /// How long closing the nth is in flight, if all is well.
    fn takes(&self, n: usize) -> Duration {
        let (takes, outcome) = self.0[n];
        if outcome == Outcome::Hang { LIMIT } else { takes.min(LIMIT) }
    }

    /// In the middle of each closing, and in the moment in which it ends.
    fn moments(&self) -> Vec<Duration> {
        let mut moments = Vec::new();
        let mut begins = Duration::ZERO;
        for n in (0..self.0.len()).rev() {
            moments.push(begins + self.takes(n) / 2);
            begins += self.takes(n);
            moments.push(begins);
        }
        // In the last of these moments it is over.
        moments.pop();
        moments
    }

    fn name(&self, notice: Notice) -> String {
        let wrong = self.0.iter().enumerate().filter_map(|(n, (takes, outcome))| {
            let what = match outcome {
                Outcome::Done if *takes <= LIMIT => return None,
                Outcome::Done => format!("takes {}", time(*takes)),
                Outcome::Fail => String::from("fails"),
                Outcome::Panic => String::from("panics"),
                Outcome::Hang => String::from("never ends"),
            };
            Some(format!("closing {} {what}", named(n)))
        });
        let notice = match notice {
            Notice::None => None,
            Notice::DropStack => Some(String::from("the stack is dropped")),
            Notice::Panic => Some(String::from("whoever has the stack panics")),
            Notice::ShutDown => Some(String::from("the stack is dropped when `tasks` is closed already")),
            Notice::Unpolled => Some(String::from("`close` is dropped before it was polled")),
            Notice::Drop(after) => Some(format!("`close` is dropped after {}", time(after))),
            Notice::DropAtPoll(1) => Some(String::from("`close` is dropped when it was polled once")),
            Notice::DropAtPoll(polls) => Some(format!("`close` is dropped when it was polled {polls} times")),
        };
        let sessions = match self.0.len() {
            0 => String::from("an empty stack"),
            1 => String::from("1 session"),
            n => format!("{n} sessions"),
        };
        let payload = match self.1 {
            Payload::Formatted => None,
            Payload::Literal => Some(String::from("the panic has a `&'static str`")),
            Payload::Other => Some(String::from("the panic has no text")),
        };
        let parts: Vec<String> = [sessions].into_iter().chain(wrong).chain(payload).chain(notice).collect();
        parts.join(", ")
    }
}

/// What was seen of a stack.
struct Seen {
    /// When closing was due to begin.
    from: Duration,
    /// What `close` gave, and when; nothing if it was dropped.
    told: Option<(Failures, Duration)>,
}

/// What was seen of `tasks`.
struct Tracked {
    /// When the wait for it began, and when it was over.
    waited: (Duration, Duration),
    /// Tasks that were alive then.
    tasks: usize,
    /// Whether the answer had closed it.
    closed: bool,
}

fn one(make: Make<'_>, script: &Script, notice: Notice) -> Checked {
    let case = Case::run(script.name(notice), async |recorder| {
        let (server, tasks) = (script.server(&recorder, 0), TaskTracker::new());
        let seen = closed(make, script, 0, &server, &tasks, &recorder, notice).await;
        let mut tracked = waited(&tasks, &recorder).await;
        tracked.closed &= notice != Notice::ShutDown;
        (seen, tracked, server.log())
    })
    .map_err(breaks_when_cursed)?;
    let (seen, tracked, log) = &case.value;
    hold(&case, script, 0, notice, seen, log)?;
    over_in_time(&case, tracked, log)
}

/// A panic of a closing that got through breaks `all`; one of the answer's own is the answer's own.
fn breaks_when_cursed(verdict: Box<Verdict>) -> Box<Verdict> {
    if verdict.finding.as_ref().is_some_and(|finding| finding.seen.ends_with("is cursed")) {
        return breaks(Kind::Panic, "all", "a panic of a closing is caught, and the others are closed")(
            verdict,
        );
    }
    verdict
}

/// Several stacks with the same `tasks`; one or all are dropped in the middle. None of them waits for another.
fn several(make: Make<'_>, scripts: &[Script], notices: [Notice; 3]) -> Checked {
    let chosen = [&scripts[0], &scripts[3], &scripts[6]];
    let name = format!(
        "three stacks with the same `tasks`, {}",
        match notices {
            [Notice::None, ..] => "closed at once; the second `close` is dropped after 15 ms",
            [Notice::DropStack, ..] => "all of which are dropped",
            _ => "closed at once, and all of that is dropped in the middle",
        }
    );
    let case = Case::run(name, async |recorder| {
        let tasks = TaskTracker::new();
        let servers: Vec<Server> =
            chosen.iter().enumerate().map(|(n, script)| script.server(&recorder, n)).collect();
        let stacks = servers
            .iter()
            .enumerate()
            .map(|(n, server)| closed(make, chosen[n], n, server, &tasks, &recorder, notices[n]));
        let seen = join_all(stacks).await;
        let tracked = waited(&tasks, &recorder).await;
        (seen, tracked, servers.iter().map(Server::log).collect::<Vec<_>>())
    })
    .map_err(breaks_when_cursed)?;
    let (seen, tracked, logs) = &case.value;
    case.rule(
        "tracked",
        !tracked.closed,
        "`tasks` is the program's: a stack does not close it",
        "it was closed, before the program shut down",
    )?;
    for (n, (seen, log)) in seen.iter().zip(logs).enumerate() {
        hold(&case, chosen[n], n, notices[n], seen, log)?;
    }
    let all: Vec<Line> = logs.iter().flatten().cloned().collect();
    over_in_time(&case, tracked, &all)
}

/// Opens what the script has, pushes it, and closes it, or does not.
async fn closed(
    make: Make<'_>,
    script: &Script,
    shift: usize,
    server: &Server,
    tasks: &TaskTracker,
    recorder: &Recorder,
    notice: Notice,
) -> Seen {
    let mut stack = make(tasks.clone());
    for n in 0..script.0.len() {
        stack.push(server.open(named(n + shift)).await.expect("opening is not scripted"));
    }
    let from = recorder.now();
    let close = |stack: Box<dyn Stack>| recorder.lane("stack.close()", stack.close());
    let told = match notice {
        Notice::None => Some(close(stack).await),
        Notice::ShutDown => {
            tasks.close();
            drop(stack);
            None
        }
        Notice::DropStack => {
            drop(stack);
            None
        }
        Notice::Panic => {
            let body = async move {
                let _stack = stack;
                resume_unwind(Box::new("the caller panics"));
            };
            assert!(std::panic::AssertUnwindSafe(body).catch_unwind().await.is_err(), "it always panics");
            None
        }
        Notice::Unpolled => {
            drop(close(stack));
            None
        }
        Notice::Drop(after) => timeout(after, close(stack)).await.ok(),
        Notice::DropAtPoll(polls) => polled(close(stack), polls).await,
    };
    Seen { from, told: told.map(|failures| (failures, recorder.now())) }
}

/// Polls it so many times, and then drops it, unless it has ended.
async fn polled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = Box::pin(future);
    let mut so_far = 0;
    poll_fn(move |context| {
        if so_far == polls {
            return Poll::Ready(None);
        }
        so_far += 1;
        if so_far == polls {
            // Dropped where it waits, and not when it is woken.
            context.waker().wake_by_ref();
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Shuts down, as the program does.
async fn waited(tasks: &TaskTracker, recorder: &Recorder) -> Tracked {
    let (closed, from) = (tasks.is_closed(), recorder.now());
    tasks.close();
    // A closing that never ends is told by another rule.
    timeout(Duration::from_secs(20), tasks.wait()).await.ok();
    let waited = (from, recorder.now());
    let tasks = tasks_left().await;
    // What goes on elsewhere shows in the log.
    sleep(Duration::from_secs(5)).await;
    Tracked { waited, tasks, closed }
}

fn over_in_time<T>(case: &Case<T>, tracked: &Tracked, log: &[Line]) -> Checked {
    let ends = log.iter().filter(|line| !matches!(line.what, What::Opened | What::Closing));
    let last = ends.max_by_key(|line| line.at);
    let (from, over) = tracked.waited;
    let due = last.map_or(from, |line| line.at).max(from);
    let until = last.map_or_else(String::new, |line| format!(", when {} {}", line.session, ended(line.what)));
    case.rule(
        "tracked",
        over >= due && over <= due + GRAIN,
        format!("`tasks.wait()` is over at {}{until}", time(due)),
        format!("it was over at {}", time(over)),
    )?;
    case.rule(
        "tracked",
        tracked.tasks == 0,
        "no task is alive when `tasks.wait()` is over",
        format!("{} alive", tracked.tasks),
    )?;
    case.rule(
        "tracked",
        !tracked.closed,
        "`tasks` is the program's: a stack does not close it",
        "it was closed, before the program shut down",
    )
}

fn hold<T>(
    case: &Case<T>,
    script: &Script,
    shift: usize,
    notice: Notice,
    seen: &Seen,
    log: &[Line],
) -> Checked {
    let wanted: Vec<usize> = (0..script.0.len()).rev().collect();
    let find = |n: usize, closing: bool| {
        let is_it = |line: &&Line| {
            line.session == named(n + shift)
                && line.what != What::Opened
                && (line.what == What::Closing) == closing
        };
        log.iter().find(is_it)
    };
    let dropped = notice != Notice::None;
    for n in &wanted {
        case.rule(
            if dropped { "dropped" } else { "all" },
            find(*n, true).is_some(),
            format!("{} is closed", named(n + shift)),
            match find(*n, false) {
                Some(line) => format!("it was dropped at {}, and never closed", time(line.at)),
                None => String::from("it was never closed"),
            },
        )?;
    }
    let begun = log.iter().filter(|line| line.what == What::Closing);
    let begun: Vec<&str> = begun.map(|line| line.session.as_str()).collect();
    let due: Vec<&str> = wanted.iter().map(|n| named(n + shift)).collect();
    case.rule("order", begun == due, format!("closed: {}", due.join(", ")), begun.join(", "))?;
    let mut free = (seen.from, None);
    for n in &wanted {
        let name = named(n + shift);
        let (Some(begins), Some(ends)) = (find(*n, true), find(*n, false)) else {
            // It began and has no end: it is held by somebody who does not poll it.
            return case.rule("bound", false, format!("closing {name} ends"), "it never ended");
        };
        case.rule(
            "order",
            begins.at >= free.0 && begins.at <= free.0 + GRAIN,
            match free.1 {
                None => format!("closing {name} begins at {}", time(free.0)),
                Some(before) => format!("closing {name} begins at {}, when {before} has ended", time(free.0)),
            },
            format!("it began at {}", time(begins.at)),
        )?;
        let (took, takes) = (ends.at - begins.at, script.takes(*n));
        let (in_full, outcome) = script.0[*n];
        let slow = outcome == Outcome::Hang || in_full > LIMIT;
        let left = ends.what == What::Left;
        case.rule(
            if dropped && left && took + GRAIN < takes { "dropped" } else { "bound" },
            took + GRAIN >= takes && took <= takes + GRAIN && left == slow,
            if slow {
                format!("closing {name} is dropped {} after it began", time(LIMIT))
            } else {
                format!("closing {name} is awaited for the {} that it takes", time(takes))
            },
            format!("it {} after {}", ended(ends.what), time(took)),
        )?;
        free = (ends.at, Some(name));
    }
    let Some((failures, at)) = &seen.told else { return Ok(()) };
    let wrong = wanted.iter().filter_map(|n| Some((*n, wrong(&script.0[*n], named(n + shift), script.1)?)));
    let wrong: Vec<String> = wrong.map(|(n, what)| format!("{}: {what}", named(n + shift))).collect();
    let told: Vec<String> =
        failures.iter().map(|(name, error)| format!("{name}: {}", described(error))).collect();
    let list = |of: &[String]| if of.is_empty() { String::from("nothing") } else { of.join("; ") };
    // Of a panic, what it said is to be found there; who caught it with a task has more words around it.
    let same = |(told, wrong): (&String, &String)| {
        let (head, tail) = wrong.rsplit_once(": ").unwrap_or((wrong, ""));
        told == wrong || told.starts_with(head) && head.ends_with("panicked") && told.contains(tail)
    };
    let kept = told.len() == wrong.len() && told.iter().zip(&wrong).all(same);
    case.rule("told", kept, list(&wrong), list(&told))?;
    case.rule(
        "told",
        *at <= free.0 + GRAIN,
        format!("`close` gives it at {}, when the last one is closed", time(free.0)),
        format!("at {}", time(*at)),
    )
}

/// What is to be told of a closing, if anything.
fn wrong((takes, outcome): &(Duration, Outcome), session: &str, payload: Payload) -> Option<String> {
    match outcome {
        Outcome::Hang => Some(described(&CloseError::TimedOut { limit: LIMIT })),
        _ if *takes > LIMIT => Some(described(&CloseError::TimedOut { limit: LIMIT })),
        Outcome::Done => None,
        Outcome::Fail => {
            let error = ServerError { call: Call::Close, session: session.to_owned() };
            Some(described(&CloseError::Failed(error)))
        }
        Outcome::Panic => {
            let message = match payload {
                Payload::Formatted => format!("{session} is cursed"),
                Payload::Literal => String::from("it is cursed"),
                // It says nothing, and so anything may be said of it.
                Payload::Other => String::new(),
            };
            Some(described(&CloseError::Panicked { message }))
        }
    }
}

fn described(error: &CloseError<ServerError>) -> String {
    match error {
        CloseError::Failed(error) => format!("failed: {error}"),
        CloseError::Panicked { message } => format!("panicked: {message}"),
        CloseError::TimedOut { limit } => format!("timed out after {}", time(*limit)),
        other => other.to_string(),
    }
}

const fn ended(what: What) -> &'static str {
    match what {
        What::Closed => "was closed",
        What::NotClosed => "failed to close",
        What::Left => "was dropped",
        What::Opened | What::NotOpened | What::Closing => "had no end",
    }
}

const fn named(n: usize) -> &'static str {
    NAMES[n % NAMES.len()]
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
