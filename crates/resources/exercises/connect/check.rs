//! What is verified on any answer to `connect`.

use common::{
    Recorder, Verdict,
    draw::time,
    recorder::panic_message,
    server::{Call, Line, Outcome, Payload, Server, ServerError, What},
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use std::{any::Any, future::poll_fn, panic::AssertUnwindSafe, task::Poll, time::Duration};
use testing::{Case, Checked, case::verdict, latencies, simulation::tasks_left};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);
const NAMES: &[&str] = &["socket", "session", "lease", "inbox", "cursor"];

/// What a `connect` gave: something to close, or what could not be opened, and what could not be closed then.
pub(crate) type Connected = Result<Box<dyn Ready>, (ServerError, Vec<ServerError>)>;

/// What an answer's `connect` gives when all is open.
pub(crate) trait Ready: Send {
    fn close(self: Box<Self>) -> BoxFuture<'static, Vec<ServerError>>;
}

/// What calls the `connect` of a module.
macro_rules! connects {
    ($($module:ident)::+) => {
        |server, names, tasks| -> futures_util::future::BoxFuture<'static, check::Connected> {
            struct It($($module)::+::Ready);
            impl check::Ready for It {
                fn close(
                    self: Box<Self>,
                ) -> futures_util::future::BoxFuture<'static, Vec<common::server::ServerError>> {
                    Box::pin(self.0.close())
                }
            }
            Box::pin(async move {
                match $($module)::+::connect(server, names, tasks).await {
                    Ok(ready) => Ok(Box::new(It(ready)) as Box<dyn check::Ready>),
                    Err(error) => Err((error.error, error.undone)),
                }
            })
        }
    };
}
pub(crate) use connects;

type Connect<'a> = &'a dyn Fn(Server, &'static [&'static str], TaskTracker) -> BoxFuture<'static, Connected>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(
    connect: impl Fn(Server, &'static [&'static str], TaskTracker) -> BoxFuture<'static, Connected>,
) -> Verdict {
    let connect: Connect<'_> = &connect;
    verdict(|| {
        let scripts = scripts();
        for script in &scripts {
            one(connect, script, Notice::None)?;
        }
        for payload in [Payload::Literal, Payload::Other] {
            for script in scripts.iter().filter(|script| script.panics()) {
                one(connect, &Script { payload, ..script.clone() }, Notice::None)?;
            }
        }
        for names in [&[][..], &["socket", "lease", "socket"]] {
            opens_what_it_is_told(connect, names)?;
        }
        for script in scripts.iter().filter(|script| script.wrong.is_none()) {
            one(connect, script, Notice::DropReady)?;
            one(connect, script, Notice::UnpolledClose)?;
            for after in script.moments_of_closing() {
                one(connect, script, Notice::DropClose(after))?;
            }
            for polls in 1..6 {
                one(connect, script, Notice::DropCloseAtPoll(polls))?;
            }
        }
        for script in &scripts {
            for after in script.moments() {
                one(connect, script, Notice::Drop(after))?;
            }
            one(connect, script, Notice::DropInPoll)?;
            for polls in 1..8 {
                one(connect, script, Notice::DropAtPoll(polls))?;
            }
        }
        several(connect, &scripts)
    })
}

/// How long opening and closing takes, and what goes wrong.
#[derive(Debug, Clone)]
struct Script {
    opens: Vec<Duration>,
    closes: Vec<Duration>,
    /// Which can't be opened, and how.
    wrong: Option<(usize, Outcome)>,
    /// Which can't be closed.
    stuck: Vec<usize>,
    /// What a panic carries.
    payload: Payload,
}

fn scripts() -> Vec<Script> {
    let script = |opens: &[u64], closes: &[u64], wrong, stuck: &[usize]| Script {
        opens: opens.iter().copied().map(ms).collect(),
        closes: closes.iter().copied().map(ms).collect(),
        wrong,
        stuck: stuck.to_vec(),
        payload: Payload::Formatted,
    };
    let (fail, panic) = (Outcome::Fail, Outcome::Panic);
    let mut scripts = vec![
        script(&[20, 10, 30], &[30, 20, 10], None, &[]),
        script(&[10, 30, 20], &[20, 30, 10], Some((2, fail)), &[]),
        script(&[15, 20, 10, 25, 10], &[10, 15, 20, 10, 30], Some((4, fail)), &[1, 3]),
        script(&[10, 20, 30], &[30, 10, 20], Some((1, fail)), &[0]),
        script(&[30, 10], &[10, 20], Some((0, fail)), &[]),
        script(&[10, 30, 20], &[20, 30, 10], Some((2, panic)), &[]),
        script(&[15, 20, 10, 25, 10], &[10, 15, 20, 10, 30], Some((3, panic)), &[1]),
        script(&[20, 10, 30], &[30, 20, 10], None, &[2, 0]),
        script(&[25], &[15], None, &[]),
        // Opened to its end, however long that takes.
        script(&[20, 400, 10], &[10, 20, 10], None, &[]),
    ];
    scripts.extend((0..3).map(|seed| {
        let (opens, closes) = (latencies(seed, 5), latencies(seed + 10, 5));
        let wrong = (seed == 2).then_some((4, fail));
        Script { opens, closes, wrong, stuck: vec![2], payload: Payload::Formatted }
    }));
    scripts
}

/// What comes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// Nothing: it is connected, and closed.
    None,
    /// `connect` is dropped after a time.
    Drop(Duration),
    /// `connect` is polled and dropped, and no task has run in between: as by a `select!` whose other arm is ready.
    DropInPoll,
    /// `connect` is dropped when it has been polled so many times.
    DropAtPoll(usize),
    /// What it gave is dropped.
    DropReady,
    /// `close` is dropped before it was polled.
    UnpolledClose,
    /// `close` is dropped after a time.
    DropClose(Duration),
    /// `close` is dropped when it has been polled so many times.
    DropCloseAtPoll(usize),
}

impl Notice {
    /// The rule that is broken if something stays open.
    const fn rule(self, script: &Script) -> &'static str {
        match (self, script.wrong) {
            (Self::None, Some((_, Outcome::Panic))) => "panics",
            (Self::None, Some(_)) => "undone",
            (Self::Drop(_) | Self::DropInPoll | Self::DropAtPoll(_), _) => "dropped",
            // Closed or dropped as a whole.
            _ => "ready",
        }
    }
}

impl Script {
    fn names(&self) -> &'static [&'static str] {
        &NAMES[..self.opens.len()]
    }

    const fn panics(&self) -> bool {
        matches!(self.wrong, Some((_, Outcome::Panic)))
    }

    fn server(&self, recorder: &Recorder) -> Server {
        let server = Server::new(recorder).opens_at_once().panics_with(self.payload);
        let server =
            self.names().iter().zip(&self.opens).enumerate().fold(server, |server, (n, (name, takes))| {
                let outcome = match self.wrong {
                    Some((wrong, outcome)) if wrong == n => outcome,
                    _ => Outcome::Done,
                };
                server.on(Call::Open, name, *takes, outcome)
            });
        self.names().iter().zip(&self.closes).enumerate().fold(server, |server, (n, (name, takes))| {
            let outcome = if self.stuck.contains(&n) { Outcome::Fail } else { Outcome::Done };
            server.on(Call::Close, name, *takes, outcome)
        })
    }

    /// How many are opened well, if nobody is dropped.
    fn opened(&self) -> usize {
        self.wrong.map_or(self.opens.len(), |(wrong, _)| wrong)
    }

    /// In the middle of each call until `connect` is over, and in the moment in which it ends.
    fn moments(&self) -> Vec<Duration> {
        let opens = self.opens.iter().take(self.opened() + 1).copied();
        let undone = self.closes[..self.opened()].iter().rev().copied().filter(|_| self.wrong.is_some());
        Self::within(opens.chain(undone))
    }

    fn moments_of_closing(&self) -> Vec<Duration> {
        Self::within(self.closes.iter().rev().copied())
    }

    fn within(calls: impl Iterator<Item = Duration>) -> Vec<Duration> {
        let (mut moments, mut begins) = (Vec::new(), Duration::ZERO);
        for takes in calls {
            moments.push(begins + takes / 2);
            begins += takes;
            moments.push(begins);
        }
        moments
    }

    fn name(&self, notice: Notice) -> String {
        let mut parts = vec![match self.opens.len() {
            1 => String::from("1 step"),
            n => format!("{n} steps"),
        }];
        if let Some((n, outcome)) = self.wrong {
            let what = if outcome == Outcome::Panic { "panics" } else { "fails" };
            let with = match self.payload {
                Payload::Formatted => "",
                Payload::Literal => " with a `&'static str`",
                Payload::Other => " with what is no text",
            };
            parts.push(format!("opening {} {what}{with}", NAMES[n]));
        }
        parts.extend(self.stuck.iter().map(|n| format!("closing {} fails", NAMES[*n])));
        parts.extend(match notice {
            Notice::None => None,
            Notice::Drop(after) => Some(format!("`connect` is dropped after {}", time(after))),
            Notice::DropInPoll => {
                Some(String::from("`connect` is polled once, and dropped in the same moment"))
            }
            Notice::DropAtPoll(1) => Some(String::from("`connect` is dropped when it was polled once")),
            Notice::DropAtPoll(polls) => {
                Some(format!("`connect` is dropped when it was polled {polls} times"))
            }
            Notice::DropReady => Some(String::from("the `Ready` is dropped")),
            Notice::UnpolledClose => Some(String::from("`Ready::close` is dropped before it was polled")),
            Notice::DropClose(after) => Some(format!("`Ready::close` is dropped after {}", time(after))),
            Notice::DropCloseAtPoll(1) => {
                Some(String::from("`Ready::close` is dropped when it was polled once"))
            }
            Notice::DropCloseAtPoll(polls) => {
                Some(format!("`Ready::close` is dropped when it was polled {polls} times"))
            }
        });
        parts.join(", ")
    }
}

/// What was seen of a set-up.
#[derive(Default)]
struct Seen {
    /// When `connect` was dropped.
    dropped: Option<Duration>,
    /// The lines of the server's log by then: what follows in the same moment has come later all the same.
    lines: usize,
    /// When it gave a `Ready`, and how many were open then.
    ready: Option<(Duration, usize)>,
    /// What it gave in its place, and when.
    refused: Option<(ServerError, Vec<ServerError>, Duration)>,
    /// What its panic carried.
    panicked: Option<(Box<dyn Any + Send>, Duration)>,
    /// When closing was due to begin, if it was closed or dropped as `Ready`.
    closes: Option<Duration>,
    /// What `close` gave, and when.
    closed: Option<(Vec<ServerError>, Duration)>,
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

fn one(connect: Connect<'_>, script: &Script, notice: Notice) -> Checked {
    let case = Case::run(script.name(notice), async |recorder| {
        let (server, tasks) = (script.server(&recorder), TaskTracker::new());
        let seen = connected(connect, script, &server, &tasks, &recorder, notice).await;
        let tracked = waited(&tasks, &recorder).await;
        (seen, tracked, server.log())
    })?;
    let (seen, tracked, log) = &case.value;
    hold(&case, script, notice, seen, log)?;
    over_in_time(&case, tracked, log)
}

/// Several at once with the same `tasks`; the second is dropped in the middle. None of them waits for another.
fn several(connect: Connect<'_>, scripts: &[Script]) -> Checked {
    let chosen = [&scripts[0], &scripts[2], &scripts[1]];
    let notices = [Notice::None, Notice::Drop(ms(25)), Notice::None];
    let name = "three set-ups at once with the same `tasks`, the second `connect` is dropped after 25 ms";
    let case = Case::run(name, async |recorder| {
        let tasks = TaskTracker::new();
        let servers = chosen.map(|script| script.server(&recorder));
        let clients =
            servers.iter().zip(chosen).zip(notices).map(|((server, script), notice)| {
                connected(connect, script, server, &tasks, &recorder, notice)
            });
        let seen = join_all(clients).await;
        let tracked = waited(&tasks, &recorder).await;
        (seen, tracked, servers.map(|server| server.log()))
    })?;
    let (seen, tracked, logs) = &case.value;
    for (((seen, log), script), notice) in seen.iter().zip(logs).zip(chosen).zip(notices) {
        hold(&case, script, notice, seen, log)?;
    }
    let all: Vec<Line> = logs.iter().flatten().cloned().collect();
    over_in_time(&case, tracked, &all)
}

/// What the other scripts take for granted: that there are names, each of them once.
fn opens_what_it_is_told(connect: Connect<'_>, names: &'static [&'static str]) -> Checked {
    let case = Case::run(format!("the steps: {}", list(names)), async |recorder| {
        let (server, tasks) = (Server::new(&recorder).opens_at_once(), TaskTracker::new());
        let closed = match connect(server.clone(), names, tasks.clone()).await {
            Ok(ready) => {
                let open = server.left_open();
                ready.close().await;
                Ok(open)
            }
            Err((error, _)) => Err(error),
        };
        (closed, server.left_open())
    })?;
    let (connected, left) = &case.value;
    match connected {
        Ok(open) => {
            let expected = format!("`connect` gives a `Ready`, with these open: {}", list(names));
            case.rule("steps", open == names, expected, format!("open: {}", list(open)))?;
        }
        Err(error) => {
            case.rule("steps", false, "`connect` gives a `Ready`", format!("it gave an error: {error}"))?;
        }
    }
    case.rule(
        "ready",
        left.is_empty(),
        "after `Ready::close`, nothing is open",
        format!("open: {}", list(left)),
    )
}

async fn connected(
    connect: Connect<'_>,
    script: &Script,
    server: &Server,
    tasks: &TaskTracker,
    recorder: &Recorder,
    notice: Notice,
) -> Seen {
    let mut seen = Seen::default();
    let connecting = recorder.lane("connect()", connect(server.clone(), script.names(), tasks.clone()));
    // Where a panic is scripted, it may come through.
    let cursed = script.panics();
    let connecting = async {
        if cursed { AssertUnwindSafe(connecting).catch_unwind().await } else { Ok(connecting.await) }
    };
    let ended: Option<Result<Connected, Box<dyn Any + Send>>> = match notice {
        Notice::Drop(after) => timeout(after, connecting).await.ok(),
        Notice::DropInPoll => connecting.now_or_never(),
        Notice::DropAtPoll(polls) => polled(connecting, polls).await,
        _ => Some(connecting.await),
    };
    let ready = match ended {
        None => {
            (seen.dropped, seen.lines) = (Some(recorder.now()), server.log().len());
            return seen;
        }
        Some(Err(panic)) => {
            seen.panicked = Some((panic, recorder.now()));
            return seen;
        }
        Some(Ok(Err((error, undone)))) => {
            seen.refused = Some((error, undone, recorder.now()));
            return seen;
        }
        Some(Ok(Ok(ready))) => ready,
    };
    seen.ready = Some((recorder.now(), server.left_open().len()));
    // It is used for a while.
    sleep(ms(10)).await;
    seen.closes = Some(recorder.now());
    let close = |ready: Box<dyn Ready>| recorder.lane("ready.close()", ready.close());
    let closed = match notice {
        Notice::DropReady => {
            drop(ready);
            None
        }
        Notice::UnpolledClose => {
            drop(close(ready));
            None
        }
        Notice::DropClose(after) => timeout(after, close(ready)).await.ok(),
        Notice::DropCloseAtPoll(polls) => polled(close(ready), polls).await,
        _ => Some(close(ready).await),
    };
    seen.closed = closed.map(|errors| (errors, recorder.now()));
    seen
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
    timeout(Duration::from_secs(20), tasks.wait()).await.ok();
    let waited = (from, recorder.now());
    let tasks = tasks_left().await;
    // What goes on elsewhere shows in the log.
    sleep(Duration::from_secs(5)).await;
    Tracked { waited, tasks, closed }
}

fn over_in_time<T>(case: &Case<T>, tracked: &Tracked, log: &[Line]) -> Checked {
    let last = log
        .iter()
        .filter(|line| !matches!(line.what, What::Opened | What::Closing))
        .max_by_key(|line| line.at);
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
        "`tasks` is the program's: a client does not close it",
        "it was closed, before the program shut down",
    )
}

fn hold<T>(case: &Case<T>, script: &Script, notice: Notice, seen: &Seen, log: &[Line]) -> Checked {
    let find = |name: &str, what: What| log.iter().find(|line| line.session == name && line.what == what);
    let opened = opens(case, script, seen, log)?;
    // What failed is not open, and sets the undoing off, whoever has been dropped by then.
    let failed =
        script.wrong.map(|(n, _)| NAMES[n]).filter(|name| opened.iter().any(|(opened, _)| opened == name));
    let over = opened.iter().map(|(name, begun)| *begun + script.opens[place(name)]).max();
    let mut free = over.unwrap_or_default();
    if failed.is_none() {
        free = free.max(seen.dropped.unwrap_or_default()).max(seen.closes.unwrap_or_default());
    }
    let open: Vec<&str> =
        opened.iter().map(|(name, _)| *name).filter(|name| Some(*name) != failed).rev().collect();
    let rule = if notice.rule(script) == "dropped" && seen.dropped.is_none() {
        // It was over before it could be dropped.
        Notice::None.rule(script)
    } else {
        notice.rule(script)
    };
    for name in &open {
        case.rule(
            rule,
            find(name, What::Closing).is_some(),
            format!("{name} is closed"),
            find(name, What::Left).map_or_else(
                || String::from("it was never closed"),
                |line| format!("it was dropped at {}, and stays open", time(line.at)),
            ),
        )?;
    }
    let begun: Vec<&str> =
        log.iter().filter(|line| line.what == What::Closing).map(|line| line.session.as_str()).collect();
    case.rule("order", begun == open, format!("closed: {}", list(&open)), list(&begun))?;
    let mut before = None;
    for name in &open {
        let begins = find(name, What::Closing).map(|line| line.at).unwrap_or_default();
        let when = before.map_or_else(String::new, |before| format!(", when {before} is closed"));
        case.rule(
            "order",
            begins >= free && begins <= free + GRAIN,
            format!("closing {name} begins at {}{when}", time(free)),
            format!("it began at {}", time(begins)),
        )?;
        let ends = find(name, What::Closed).or_else(|| find(name, What::NotClosed));
        case.rule(
            rule,
            ends.is_some(),
            format!("closing {name} is awaited for the {} that it takes", time(script.closes[place(name)])),
            find(name, What::Left).map_or_else(
                || String::from("it never ended"),
                |line| format!("it was dropped {} after it began", time(line.at - begins)),
            ),
        )?;
        free = ends.map_or(free, |line| line.at);
        before = Some(*name);
    }
    tells(case, script, seen, &open, free)
}

/// What was opened, in this order, and when that began.
fn opens<'a, T>(
    case: &Case<T>,
    script: &Script,
    seen: &Seen,
    log: &'a [Line],
) -> Checked<Vec<(&'a str, Duration)>> {
    let (mut opened, mut later) = (Vec::new(), None);
    for (n, line) in log.iter().enumerate().filter(|(_, line)| line.what == What::Opened) {
        opened.push((line.session.as_str(), line.at));
        if seen.dropped.is_some() && n >= seen.lines {
            later = later.or(Some(line));
        }
    }
    let names: Vec<&str> = opened.iter().map(|(name, _)| *name).collect();
    let steps = &script.names()[..(script.opened() + 1).min(script.opens.len())];
    case.rule(
        if names.starts_with(steps) && script.wrong.is_some() { "undone" } else { "steps" },
        steps.starts_with(&names) && (seen.dropped.is_some() || names.len() == steps.len()),
        format!("opened, one after the other: {}", list(steps)),
        list(&names),
    )?;
    if let (Some(dropped), Some(Line { session, at, .. })) = (seen.dropped, later) {
        let expected = format!("`connect` was dropped at {}: nothing more is opened", time(dropped));
        case.rule("dropped", false, expected, format!("{session} was opened then, at {}", time(*at)))?;
    }
    // It may begin with the first poll, or with that of a task.
    let mut due = Duration::ZERO;
    for (n, (name, begun)) in opened.iter().enumerate() {
        case.rule(
            "steps",
            *begun >= due && *begun <= due + GRAIN,
            format!("{name} is opened at {}", time(due)),
            format!("at {}", time(*begun)),
        )?;
        due = *begun + script.opens[n];
    }
    if let Some((at, open)) = seen.ready {
        case.rule(
            "steps",
            open == steps.len() && at >= due && at <= due + GRAIN,
            format!("`connect` gives a `Ready` at {}, with {} open", time(due), steps.len()),
            format!("at {}, with {open} open", time(at)),
        )?;
    }
    if seen.dropped.is_none() {
        let expected = match script.wrong {
            None => "`connect` gives a `Ready`",
            Some((_, Outcome::Panic)) => "the panic goes on to the caller",
            Some(_) => "`connect` gives an error",
        };
        let (rule, kept) = match script.wrong {
            None => ("steps", seen.ready.is_some()),
            Some((_, Outcome::Panic)) => ("panics", seen.panicked.is_some()),
            Some(_) => ("undone", seen.refused.is_some()),
        };
        let gave = if seen.ready.is_some() { "a `Ready`" } else { "an error" };
        case.rule(rule, kept, expected, format!("it gave {gave}"))?;
    }
    Ok(opened)
}

/// What the caller was told, and when; `over` is when the last closing had ended.
fn tells<T>(case: &Case<T>, script: &Script, seen: &Seen, open: &[&str], over: Duration) -> Checked {
    let stuck = open.iter().filter(|name| script.stuck.contains(&place(name)));
    let stuck: Vec<String> = stuck.map(|name| error(Call::Close, name).to_string()).collect();
    let all = |errors: &[ServerError]| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let at_once = |rule, what: &str, at: Duration| {
        case.rule(
            rule,
            at >= over && at <= over + GRAIN,
            format!("{what} at {}, when the last one is closed", time(over)),
            format!("at {}", time(at)),
        )
    };
    if let Some((failed, undone, at)) = &seen.refused {
        let wrong = script.wrong.map_or("nothing", |(n, _)| NAMES[n]);
        at_once("undone", "the error comes back", *at)?;
        let wanted = error(Call::Open, wrong);
        case.rule("told", *failed == wanted, format!("the error: {wanted}"), failed)?;
        let undone = all(undone);
        case.rule("told", undone == stuck, format!("of closing: {}", list(&stuck)), list(&undone))?;
    }
    if let Some((payload, at)) = &seen.panicked {
        at_once("panics", "the panic comes back", *at)?;
        let cursed = script.wrong.map_or("nothing", |(n, _)| NAMES[n]);
        let (kept, wanted) = match script.payload {
            Payload::Formatted => {
                let said = format!("{cursed} is cursed");
                (
                    payload.downcast_ref() == Some(&said),
                    format!("the panic's own payload: {said:?}, a `String`"),
                )
            }
            Payload::Literal => {
                let said = "it is cursed";
                (
                    payload.downcast_ref() == Some(&said),
                    format!("the panic's own payload: {said:?}, a `&'static str`"),
                )
            }
            Payload::Other => {
                (payload.is::<u32>(), String::from("the panic's own payload, which is no text: a `u32`"))
            }
        };
        case.rule("panics", kept, wanted, carried(&**payload))?;
    }
    if let Some((errors, at)) = &seen.closed {
        at_once("ready", "`Ready::close` is over", *at)?;
        let errors = all(errors);
        case.rule("told", errors == stuck, format!("of closing: {}", list(&stuck)), list(&errors))?;
    }
    Ok(())
}

fn carried(payload: &(dyn Any + Send)) -> String {
    let said = panic_message(payload);
    let kind = if payload.is::<String>() {
        "a `String`"
    } else if payload.is::<&'static str>() {
        "a `&'static str`"
    } else {
        return String::from("another payload, which is no text");
    };
    format!("another payload: {said:?}, {kind}")
}

fn error(call: Call, session: &str) -> ServerError {
    ServerError { call, session: session.to_owned() }
}

fn place(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap_or_default()
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::from("nothing") } else { names.join(", ") }
}

const fn ended(what: What) -> &'static str {
    match what {
        What::Closed => "was closed",
        What::NotClosed => "failed to close",
        What::Left => "was dropped",
        What::NotOpened => "failed to open",
        What::Opened | What::Closing => "had no end",
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
