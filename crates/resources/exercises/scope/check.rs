//! What is verified on any answer to `scope`.

use common::{
    Recorder, Verdict,
    draw::time,
    recorder::panic_message,
    server::{Call, Line, Outcome, Payload, Server, ServerError, Session, What},
    verdict::Kind,
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use resources::{CloseError, ScopeError};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    simulation::tasks_left,
};
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

const BOUND: Duration = ms(50);
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);
/// A shutdown that has waited so long waits for ever.
const GIVEN_UP: Duration = Duration::from_secs(20);
const NAMES: [&str; 5] = ["ada", "bo", "cy", "dee", "eli"];
/// Its body panics when it is called.
const AT_ONCE: &str = "fay";
/// What any panic says here that says something.
const CURSED: &str = "is cursed";

type Ended = Result<String, ScopeError<String, ServerError, ServerError>>;
type Answer<'a> = &'a dyn Fn(Server, &'static str, TaskTracker) -> BoxFuture<'static, Ended>;

/// The body that each answer is given: what becomes of it is in the server's script.
pub(crate) fn ask(session: &mut Session) -> impl Future<Output = Result<String, ServerError>> + Send {
    if session.name() == AT_ONCE {
        // Before there is a future that could be polled within anything.
        resume_unwind(Box::new(CURSED));
    }
    session.ask(7)
}

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Server, &'static str, TaskTracker) -> F) -> Verdict
where
    F: Future<Output = Ended> + Send + 'static,
{
    let answer: Answer<'_> = &|server, name, tasks| answer(server, name, tasks).boxed();
    verdict(|| {
        let scripts = scripts();
        for script in &scripts {
            one(answer, script, Leaves::Never)?;
        }
        for payload in [Payload::Literal, Payload::Other] {
            for script in scripts.iter().filter(|script| script.panics()) {
                one(answer, &Script { payload, ..script.clone() }, Leaves::Never)?;
            }
        }
        // First where the session is there when the answer is; then where the server is quicker.
        for early in [false, true] {
            for script in &scripts {
                for after in script.moments() {
                    one(answer, &Script { early, ..script.clone() }, Leaves::After(after))?;
                }
            }
            for polls in 1..6 {
                for leaves in [Leaves::AfterPolls(polls), Leaves::WhenWoken(polls)] {
                    one(answer, &Script { early, ..scripts[0].clone() }, leaves)?;
                }
            }
        }
        // The bound is the closing's, and not the opening's.
        let slow = Script { open: (ms(400), Outcome::Done), early: true, ..scripts[0].clone() };
        for after in slow.moments() {
            one(answer, &slow, Leaves::After(after))?;
        }
        for after in scripts[0].moments() {
            one(answer, &scripts[0], Leaves::Panics(after))?;
        }
        for (count, leavers) in [(2, &[1][..]), (5, &[1]), (2, &[0, 1]), (5, &[0, 1, 4])] {
            several(answer, count, leavers)?;
        }
        Ok(())
    })
}

/// How long each call takes, and how it ends; and whether the session is open before the answer is there.
#[derive(Debug, Clone)]
struct Script {
    open: (Duration, Outcome),
    ask: (Duration, Outcome),
    close: (Duration, Outcome),
    early: bool,
    payload: Payload,
}

/// When the caller is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    After(Duration),
    /// The caller panics: dropped after a time, while that unwinds.
    Panics(Duration),
    /// When it has been polled so many times.
    AfterPolls(usize),
    /// When it has been polled so many times, and is woken once more: what it waited for is there.
    WhenWoken(usize),
}

fn scripts() -> Vec<Script> {
    use Outcome::{Done, Fail, Hang, Panic};
    let script = |millis: [u64; 3], outcomes: [Outcome; 3]| {
        let [open, ask, close] = std::array::from_fn(|n| (ms(millis[n]), outcomes[n]));
        Script { open, ask, close, early: false, payload: Payload::Formatted }
    };
    let mut scripts = vec![
        script([20, 30, 10], [Done, Done, Done]),
        script([10, 70, 40], [Done, Done, Done]),
        script([30, 10, 20], [Done, Fail, Done]),
        script([30, 10, 20], [Fail, Done, Done]),
        script([10, 20, 30], [Done, Done, Fail]),
        script([10, 20, 30], [Done, Fail, Fail]),
        script([20, 10, 30], [Done, Panic, Done]),
        script([20, 10, 30], [Done, Done, Panic]),
        script([20, 10, 30], [Done, Fail, Panic]),
        script([20, 10, 30], [Done, Panic, Panic]),
        // It panics when it is called.
        script([20, 0, 10], [Done, Panic, Done]),
        script([20, 0, 10], [Done, Panic, Panic]),
        // Longer than the bound is for everything together, and for the closing alone.
        script([30, 40, 45], [Done, Done, Done]),
        script([10, 20, 200], [Done, Done, Done]),
        script([60, 10, 10], [Done, Fail, Hang]),
    ];
    scripts.extend((0..3).map(|seed| {
        let drawn = latencies(seed, 3);
        script([0, 1, 2].map(|n| u64::try_from(drawn[n].as_millis()).unwrap_or(10)), [Done; 3])
    }));
    scripts
}

impl Script {
    fn on(&self, server: Server, name: &str) -> Server {
        let server = [(Call::Open, self.open), (Call::Ask, self.ask), (Call::Close, self.close)]
            .into_iter()
            .fold(server, |server, (call, (latency, outcome))| server.on(call, name, latency, outcome))
            .panics_with(self.payload);
        if self.early { server.opens_at_once() } else { server }
    }

    fn panics(&self) -> bool {
        [self.ask.1, self.close.1].contains(&Outcome::Panic)
    }

    /// The session of one that is alone.
    fn session(&self) -> &'static str {
        if self.ask == (Duration::ZERO, Outcome::Panic) { AT_ONCE } else { NAMES[0] }
    }

    /// In the middle of each call, and in the moment in which it ends.
    fn moments(&self) -> Vec<Duration> {
        let closing = self.closing_takes();
        let mut moments = Vec::new();
        let mut begins = Duration::ZERO;
        for (takes, outcome) in [self.open, self.ask, (closing, Outcome::Done)] {
            moments.extend([begins + takes / 2, begins + takes]);
            begins += takes;
            if moments.len() == 2 && outcome != Outcome::Done {
                break;
            }
        }
        // By then it has ended: who is told has not left.
        if moments.len() == 6 {
            moments.pop();
        }
        moments
    }

    fn closing_takes(&self) -> Duration {
        match self.close {
            (takes, outcome) if outcome != Outcome::Hang && takes <= BOUND => takes,
            _ => BOUND,
        }
    }

    /// What is left of the session at its end.
    fn end(&self) -> What {
        match self.close {
            (takes, outcome) if outcome == Outcome::Hang || takes > BOUND => What::Left,
            (_, Outcome::Done) => What::Closed,
            _ => What::NotClosed,
        }
    }

    fn name(&self, leaves: Leaves) -> String {
        let mut parts = vec![match leaves {
            Leaves::Never => String::from("nobody leaves"),
            Leaves::After(after) => format!("dropped after {}", time(after)),
            Leaves::Panics(after) => format!("its caller panics after {}", time(after)),
            Leaves::AfterPolls(1) => String::from("dropped after its first poll"),
            Leaves::AfterPolls(polls) => format!("dropped after {polls} polls"),
            Leaves::WhenWoken(1) => String::from("dropped when it is woken"),
            Leaves::WhenWoken(polls) => format!("dropped when it is woken for the {polls}. time"),
        }];
        for (what, (_, outcome)) in [("opening", self.open), ("the body", self.ask), ("closing", self.close)]
        {
            match outcome {
                Outcome::Done => {}
                Outcome::Fail => parts.push(format!("{what} fails")),
                Outcome::Hang => parts.push(format!("{what} hangs")),
                Outcome::Panic if what == "the body" && self.session() == AT_ONCE => {
                    parts.push(String::from("the body panics when it is called"));
                }
                Outcome::Panic => parts.push(format!("{what} panics")),
            }
        }
        match self.payload {
            Payload::Formatted => {}
            Payload::Literal => parts.push(String::from("with a `&'static str`")),
            Payload::Other => parts.push(String::from("with what is no text")),
        }
        if self.close.0 > BOUND {
            parts.push(format!("closing takes {}", time(self.close.0)));
        }
        if self.early {
            parts.push(String::from("the session is open before the answer is there"));
        }
        parts.join(", ")
    }
}

/// What came of a call, and when.
enum Told {
    Ended(Ended),
    Panicked(String),
}

/// What was left when `tasks.wait()` was over.
struct Left {
    /// How long the server's log was by then.
    lines: usize,
    tasks: usize,
    /// When the wait began, and when it was over.
    waited: (Duration, Duration),
    closed_tasks: bool,
}

/// What was seen of one call.
struct Seen {
    told: Option<(Told, Duration)>,
    /// When it was dropped, if it was.
    left_at: Option<Duration>,
}

fn one(answer: Answer<'_>, script: &Script, leaves: Leaves) -> Checked {
    let name = script.session();
    let case = Case::run(script.name(leaves), async |recorder| {
        let server = script.on(Server::new(&recorder), name);
        let tasks = TaskTracker::new();
        let call = answer(server.clone(), name, tasks.clone());
        let seen = called(call, &recorder, leaves).await;
        let left = left(&tasks, &server, &recorder).await;
        (seen, left, server.log())
    })
    .map_err(breaks(
        Kind::Panic,
        "panics",
        "a panic of the body or of `close` is caught, until the session is closed",
    ))?;
    let (seen, left, log) = &case.value;
    let leaves_early = matches!(leaves, Leaves::AfterPolls(_));
    hold(&case, script, name, seen, log, leaves_early)?;
    tracked(&case, left, log)
}

/// Several at once, in one tracker; some are dropped, the others don't notice.
fn several(answer: Answer<'_>, count: usize, leavers: &[usize]) -> Checked {
    let all = scripts();
    let leaves = |n| if leavers.contains(&n) { Leaves::After(ms(25)) } else { Leaves::Never };
    let names: Vec<&str> = leavers.iter().map(|n| NAMES[*n]).collect();
    let name = format!("{count} at once, dropped after 25 ms: {}", names.join(", "));
    let case = Case::run(name, async |recorder| {
        let tasks = TaskTracker::new();
        let server = NAMES[..count]
            .iter()
            .zip(&all)
            .fold(Server::new(&recorder), |server, (name, script)| script.on(server, name));
        let calls = NAMES[..count]
            .iter()
            .enumerate()
            .map(|(n, name)| called(answer(server.clone(), name, tasks.clone()), &recorder, leaves(n)));
        let seen = join_all(calls).await;
        let left = left(&tasks, &server, &recorder).await;
        (seen, left, server.log())
    })?;
    let (seen, left, log) = &case.value;
    for ((seen, script), name) in seen.iter().zip(&all).zip(NAMES) {
        hold(&case, script, name, seen, log, false)?;
    }
    tracked(&case, left, log)?;
    case.rule(
        "tracked",
        !left.closed_tasks,
        "`tasks` is the program's: it is not closed when a session is",
        "it was closed, before the shutdown",
    )
}

async fn called(call: BoxFuture<'static, Ended>, recorder: &Recorder, leaves: Leaves) -> Seen {
    let call = async {
        // Within the lane: one that panics is a lane that panicked, and a panic that is told.
        match AssertUnwindSafe(recorder.lane("with_session", call)).catch_unwind().await {
            Ok(ended) => (Told::Ended(ended), recorder.now()),
            Err(payload) => (Told::Panicked(panic_message(&*payload).to_owned()), recorder.now()),
        }
    };
    let told = match leaves {
        Leaves::Never => Some(call.await),
        Leaves::After(after) => select! {
            // First: it is dropped in the moment in which it could go on.
            biased;
            () = sleep(after) => None,
            told = call => Some(told),
        },
        Leaves::Panics(after) => {
            let caller = async {
                let call = pin!(call);
                select! {
                    biased;
                    () = sleep(after) => resume_unwind(Box::new("the caller panics")),
                    told = call => Some(told),
                }
            };
            AssertUnwindSafe(caller).catch_unwind().await.unwrap_or_default()
        }
        Leaves::AfterPolls(polls) => polled(call, polls, false).await,
        Leaves::WhenWoken(polls) => polled(call, polls, true).await,
    };
    let left_at = told.is_none().then(|| recorder.now());
    Seen { told, left_at }
}

/// Polls it so many times, and then drops it, unless it has ended.
async fn polled<T>(future: impl Future<Output = T>, polls: usize, when_woken: bool) -> Option<T> {
    let mut future = pin!(future);
    let mut so_far = 0;
    poll_fn(|context| {
        if so_far == polls {
            return Poll::Ready(None);
        }
        so_far += 1;
        if so_far == polls && !when_woken {
            // Dropped where it waits.
            context.waker().wake_by_ref();
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Shuts down, as a program does.
async fn left(tasks: &TaskTracker, server: &Server, recorder: &Recorder) -> Left {
    let (closed_tasks, from) = (tasks.is_closed(), recorder.now());
    tasks.close();
    // A closing that never ends is told by another rule.
    timeout(GIVEN_UP, tasks.wait()).await.ok();
    let waited = (from, recorder.now());
    let (lines, tasks) = (server.log().len(), tasks_left().await);
    // What the answer has set in motion elsewhere comes to rest.
    sleep(Duration::from_secs(5)).await;
    Left { lines, tasks, waited, closed_tasks }
}

fn tracked<T>(case: &Case<T>, left: &Left, log: &[Line]) -> Checked {
    let later: Vec<String> =
        log[left.lines..].iter().map(|line| format!("{} {}", line.session, described(line))).collect();
    let (from, over) = left.waited;
    let seen = match (later.as_slice(), left.tasks) {
        ([], tasks) => format!("{tasks} tasks were still alive at {}", time(over)),
        (later, _) => format!("it was over at {}, and {}", time(over), later.join(", ")),
    };
    case.rule(
        "tracked",
        later.is_empty() && left.tasks == 0,
        "when `tasks.wait()` is over, everything is",
        seen,
    )?;
    let due = log.last().map_or(from, |line| line.at.max(from));
    case.rule(
        "tracked",
        over <= due + GRAIN,
        format!("`tasks.wait()` is over at {}, when nothing is open any more", time(due)),
        if over >= from + GIVEN_UP {
            format!("not within {}", time(GIVEN_UP))
        } else {
            format!("at {}", time(over))
        },
    )
}

fn hold<T>(case: &Case<T>, script: &Script, name: &str, seen: &Seen, log: &[Line], vague: bool) -> Checked {
    let log: Vec<&Line> = log.iter().filter(|line| line.session == name).collect();
    let find = |what| log.iter().find(|line| line.what == what).map(|line| line.at);
    let answer = if script.open.1 == Outcome::Done { What::Opened } else { What::NotOpened };
    let asked = log.iter().filter(|line| line.what == answer).count();
    case.rule("opens", asked <= 1, "one session is asked for", format!("{asked} were"))?;
    let (open, opens) = (script.open.0, script.open.1 == Outcome::Done);
    // Dropped at once, it need not have asked; and where the server has nothing before it answers, the question may be dropped.
    let waits = seen.left_at.is_none_or(|at| at > open);
    case.rule(
        if waits { "opens" } else { "half-open" },
        asked == 1 || (!waits && (vague || !script.early)),
        format!(
            "the session is asked for at 0 ms, and {} at {}",
            if opens { "open" } else { "refused" },
            time(open)
        ),
        if waits { "it was never asked for" } else { "opening it was dropped" },
    )?;
    let Some(opened_at) = find(What::Opened) else {
        return tells(case, script, seen, None);
    };
    let opens_at = if script.early { Duration::ZERO } else { open };
    case.rule(
        "opens",
        opened_at <= opens_at + GRAIN,
        format!("{name} is open at {}", time(opens_at)),
        format!("at {}", time(opened_at)),
    )?;
    if !opens {
        return tells(case, script, seen, None);
    }
    let body_ends = open + script.ask.0;
    let due = seen.left_at.map_or(body_ends, |at| at.clamp(open, body_ends));
    closes(case, script, name, seen, &log, due)?;
    tells(case, script, seen, log.last().map(|line| line.at))
}

/// It is closed at `due`, to the end or the bound.
fn closes<T>(
    case: &Case<T>,
    script: &Script,
    name: &str,
    seen: &Seen,
    log: &[&Line],
    due: Duration,
) -> Checked {
    let half_open = seen.left_at.is_some_and(|at| at <= script.open.0);
    let panics = script.ask.1 == Outcome::Panic && seen.left_at.is_none_or(|at| at >= due);
    let rule = match (half_open, panics) {
        (true, _) => "half-open",
        (_, true) => "panics",
        _ => "closes",
    };
    let after = match (seen.left_at, script.ask.1) {
        (Some(at), _) if at <= script.open.0 => "nobody waits for it any more",
        (Some(at), _) if at <= due => "its user was dropped",
        (_, Outcome::Panic) => "the body has panicked",
        (_, Outcome::Fail) => "the body has failed",
        _ => "the body has its value",
    };
    let closing = log.iter().find(|line| line.what == What::Closing);
    let last = log.last().map_or_else(String::new, |line| described(line));
    case.rule(
        rule,
        closing.is_some_and(|line| line.at.abs_diff(due) <= GRAIN),
        format!("closing {name} begins at {}, when it is open and {after}", time(due)),
        closing
            .map_or_else(|| format!("it never does: {name} {last}"), |line| format!("at {}", time(line.at))),
    )?;
    let (Some(closing), Some(end)) = (closing, log.last()) else { return Ok(()) };
    let (ends, takes) = (script.end(), script.closing_takes());
    let due = closing.at + takes;
    // Given up where its caller was dropped, and not by any clock.
    let dropped =
        end.what == What::Left && seen.left_at.is_some_and(|at| at.abs_diff(end.at) <= GRAIN && at < due);
    let what = if ends == What::Left { "is given up after 50 ms" } else { "is awaited to its end" };
    case.rule(
        if dropped { rule } else { "bound" },
        end.what == ends && end.at.abs_diff(due) <= GRAIN,
        format!("closing {name}, begun at {}, {what}, at {}", time(closing.at), time(due)),
        format!("it {}", described(end)),
    )
}

/// Who waits is told all of it, when `over`.
fn tells<T>(case: &Case<T>, script: &Script, seen: &Seen, over: Option<Duration>) -> Checked {
    let Some((told, at)) = &seen.told else { return Ok(()) };
    let wanted = wanted(script);
    let panicked = |text: &str| text.starts_with("a panic");
    let seen = told_as(script, told);
    let rule = match (script.open.1, panicked(&wanted) || panicked(&seen) || wanted.contains("panicked")) {
        (Outcome::Fail, _) => "opens",
        (_, true) => "panics",
        _ if wanted.contains("50 ms") => "bound",
        _ => "both",
    };
    // Too early is another mistake than the wrong words.
    let over = over.unwrap_or(script.open.0);
    let early = if panicked(&wanted) { "panics" } else { "closes" };
    case.rule(
        early,
        *at + GRAIN >= over && *at <= over + GRAIN,
        format!("who waits is told at {}, when everything has ended", time(over)),
        format!("at {}: {seen}", time(*at)),
    )?;
    case.rule(rule, seen == wanted, wanted, seen)
}

/// What a panic said, which is to be found in what is told: who caught it with a task has more words around it.
fn said(script: &Script, message: &str) -> String {
    match script.payload {
        Payload::Other => String::new(),
        _ if message.contains(CURSED) => format!(": it {CURSED}"),
        _ => format!(": {message:?}"),
    }
}

/// What who waits is to be told.
fn wanted(script: &Script) -> String {
    if script.open.1 == Outcome::Fail {
        return String::from("NotAcquired: it could not be opened");
    }
    let release = match script.end() {
        What::Closed => None,
        What::Left => Some(String::from("not closed within 50 ms")),
        _ if script.close.1 == Outcome::Panic => Some(format!("closing panicked{}", said(script, CURSED))),
        _ => Some(String::from("closing failed")),
    };
    match (script.ask.1, release) {
        (Outcome::Panic, _) => format!("a panic{}", said(script, CURSED)),
        (Outcome::Done, None) => String::from("the value"),
        (Outcome::Done, Some(release)) => format!("NotReleased: the value; {release}"),
        (_, None) => String::from("Body: the body's error; closed"),
        (_, Some(release)) => format!("Body: the body's error; {release}"),
    }
}

/// The same words for what was told.
fn told_as(script: &Script, told: &Told) -> String {
    let value =
        |value: &str| if value.ends_with(": 7") { "the value".to_owned() } else { format!("{value:?}") };
    let error = |error: &ServerError| match error.call {
        Call::Open => "it could not be opened",
        Call::Ask => "the body's error",
        Call::Close => "closing failed",
    };
    let release = |release: &CloseError<ServerError>| match release {
        CloseError::Failed(failed) => error(failed).to_owned(),
        CloseError::Panicked { message } => format!("closing panicked{}", said(script, message)),
        CloseError::TimedOut { limit } => format!("not closed within {}", time(*limit)),
        other => other.to_string(),
    };
    match told {
        Told::Panicked(message) => format!("a panic{}", said(script, message)),
        Told::Ended(Ok(text)) => value(text),
        Told::Ended(Err(ScopeError::NotAcquired(failed))) => format!("NotAcquired: {}", error(failed)),
        Told::Ended(Err(ScopeError::Body { body, release: closed })) => {
            let closed = closed.as_ref().map_or_else(|| String::from("closed"), release);
            format!("Body: {}; {closed}", error(body))
        }
        Told::Ended(Err(ScopeError::NotReleased { value: text, release: closed })) => {
            format!("NotReleased: {}; {}", value(text), release(closed))
        }
        Told::Ended(Err(other)) => other.to_string(),
    }
}

/// Like "was closed at 20 ms".
fn described(line: &Line) -> String {
    let what = match line.what {
        What::Opened => "was opened",
        What::NotOpened => "was not opened",
        What::Closing => "began to be closed",
        What::Closed => "was closed",
        What::NotClosed => "was gone, with an error of its closing,",
        What::Left => "was left open",
    };
    format!("{what} at {}", time(line.at))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
