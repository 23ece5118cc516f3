//! What is verified on any answer to `cancel`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, CallEnd, FetchError, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use concurrency::Settled;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};
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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const LOCK: u32 = 1;
const QUOTE: u32 = 2;
const DEBIT: u32 = 3;
const CREDIT: u32 = 4;
const UNLOCK: u32 = 9;
const STEPS: [u32; 5] = [LOCK, QUOTE, DEBIT, CREDIT, UNLOCK];
const BOUND: Duration = ms(50);
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);

type End = Settled<Reply, FetchError>;
type Answer<'a> = &'a dyn Fn(Backend, CancellationToken, TaskTracker) -> BoxFuture<'static, (End, End)>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, CancellationToken, TaskTracker) -> F) -> Verdict
where
    F: Future<Output = (End, End)> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, stop, tasks| answer(backend, stop, tasks).boxed();
    verdict(|| {
        for script in scripts() {
            one(answer, &script, Notice::None)?;
        }
        one(answer, &scripts()[0], Notice::StopBefore)?;
        for script in scripts() {
            for after in script.moments() {
                one(answer, &script, Notice::Stop(after))?;
                one(answer, &script, Notice::Drop(after))?;
            }
        }
        for polls in 1..8 {
            one(answer, &scripts()[0], Notice::DropAtPoll(polls))?;
        }
        several(answer)?;
        // The task that does it all may not have run yet: what has not been asked is not cleaned up.
        for notice in [Notice::Stop(Duration::ZERO), Notice::DropAtFirstPoll] {
            one(answer, &scripts()[0], notice)?;
        }
        for script in scripts() {
            if let Some(after) = script.unlock_after_a_failure() {
                one(answer, &script, Notice::Drop(after))?;
                one(answer, &script, Notice::Stop(after))?;
            }
            for after in script.moments() {
                one(answer, &script, Notice::StopAndDrop(after, script.in_the_unlock()))?;
            }
        }
        Ok(())
    })
}

/// How long each call takes, and which goes wrong.
#[derive(Debug, Clone)]
struct Script {
    latencies: [Duration; 5],
    wrong: Vec<(u32, Outcome)>,
}

fn scripts() -> Vec<Script> {
    let script = |millis: [u64; 5], wrong: &[(u32, Outcome)]| Script {
        latencies: millis.map(ms),
        wrong: wrong.to_vec(),
    };
    let mut scripts = vec![
        script([20, 30, 20, 40, 10], &[]),
        script([10, 15, 40, 10, 45], &[]),
        script([10, 20, 10, 70, 200], &[]),
        script([30, 5, 10, 10, 20], &[(UNLOCK, Outcome::Fail)]),
        script([30, 5, 10, 10, 20], &[(CREDIT, Outcome::Fail), (UNLOCK, Outcome::Fail)]),
    ];
    for step in [LOCK, QUOTE, DEBIT, CREDIT] {
        scripts.push(script([10, 30, 20, 25, 40], &[(step, Outcome::Fail)]));
        scripts.push(script([25, 10, 40, 15, 10], &[(step, Outcome::Panic)]));
    }
    scripts.push(script([10, 10, 10, 10, 15], &[(UNLOCK, Outcome::Panic)]));
    scripts.push(script([10, 10, 10, 10, 0], &[(UNLOCK, Outcome::Hang)]));
    scripts.extend((0..3).map(|seed| {
        let drawn = latencies(seed, 5);
        Script { latencies: std::array::from_fn(|n| drawn[n]), wrong: Vec::new() }
    }));
    scripts
}

/// What comes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    None,
    StopBefore,
    Stop(Duration),
    Drop(Duration),
    /// Stopped, and dropped so long after that: a shutdown that does not wait for the answer.
    StopAndDrop(Duration, Duration),
    /// Dropped when it has been polled once, before any task has run.
    DropAtFirstPoll,
    /// Dropped when it has been polled so many times.
    DropAtPoll(usize),
}

impl Script {
    fn takes(&self, step: u32) -> Duration {
        STEPS.iter().position(|known| *known == step).map_or(Duration::ZERO, |n| self.latencies[n])
    }

    fn outcome(&self, step: u32) -> Outcome {
        let wrong = self.wrong.iter().find(|(wrong, _)| *wrong == step);
        wrong.map_or(Outcome::Reply, |(_, outcome)| *outcome)
    }

    fn backend(&self, recorder: &Recorder) -> Backend {
        STEPS.iter().fold(Backend::new(recorder), |backend, step| {
            backend.on(*step, self.takes(*step), self.outcome(*step))
        })
    }

    /// In the middle of each call, and in the moment in which it ends.
    fn moments(&self) -> Vec<Duration> {
        let mut moments = Vec::new();
        let mut begins = Duration::ZERO;
        for step in STEPS {
            let takes = self.takes(step).max(ms(4));
            moments.push(begins + takes / 2);
            begins += self.takes(step);
            moments.push(begins);
            if self.outcome(step) != Outcome::Reply {
                break;
            }
        }
        moments
    }

    /// So long after its beginning, `UNLOCK` is under way.
    fn in_the_unlock(&self) -> Duration {
        (self.takes(UNLOCK).max(ms(2)) / 2).min(BOUND / 2)
    }

    /// When `UNLOCK` is under way because a step has failed or panicked.
    fn unlock_after_a_failure(&self) -> Option<Duration> {
        let failing =
            STEPS.iter().position(|step| *step != UNLOCK && self.outcome(*step) != Outcome::Reply)?;
        let begins: Duration = self.latencies[..=failing].iter().sum();
        Some(begins + self.in_the_unlock())
    }

    fn name(&self, notice: Notice) -> String {
        let wrong = self.wrong.iter().map(|(step, outcome)| {
            let what = match outcome {
                Outcome::Panic => "panics",
                Outcome::Hang => "hangs",
                _ => "fails",
            };
            format!("{} {what}", named(*step))
        });
        let slow = self.takes(UNLOCK) > BOUND;
        let slow = slow.then(|| format!("{} takes {}", named(UNLOCK), time(self.takes(UNLOCK))));
        let notice = match notice {
            Notice::None => None,
            Notice::StopBefore => Some(String::from("stopped before it begins")),
            Notice::Stop(Duration::ZERO) => Some(String::from("stopped when it has been polled once")),
            Notice::DropAtFirstPoll => {
                Some(String::from("dropped when it has been polled once, before any task has run"))
            }
            Notice::StopAndDrop(after, later) => {
                Some(format!("stopped after {}, and dropped {} later", time(after), time(later)))
            }
            Notice::Stop(after) => Some(format!("stopped after {}", time(after))),
            Notice::Drop(after) => Some(format!("dropped after {}", time(after))),
            Notice::DropAtPoll(polls) => Some(format!("dropped when it has been polled {polls} times")),
        };
        let parts: Vec<String> = wrong.chain(slow).chain(notice).collect();
        if parts.is_empty() { String::from("a transfer that nobody stops") } else { parts.join(", ") }
    }
}

/// What was seen of a transfer.
struct Seen {
    /// Both ends, and when they were told; nothing if it was dropped.
    told: Option<(End, End, Duration)>,
    /// When it was stopped or dropped.
    noticed: Option<Duration>,
    /// Whether `stop` was cancelled by the answer.
    cancelled_stop: bool,
}

/// What was left when `tasks.wait()` was over.
struct Left {
    running: Vec<u32>,
    tasks: usize,
    more: usize,
    /// When the shutdown began to wait, and when its wait was over.
    waited: (Duration, Duration),
    /// When the last call had ended.
    last: Duration,
    /// Whether the answer had closed the tracker.
    closed: bool,
}

fn one(answer: Answer<'_>, script: &Script, notice: Notice) -> Checked {
    let case = Case::run(script.name(notice), async |recorder| {
        let backend = script.backend(&recorder);
        let tasks = TaskTracker::new();
        let transfer = |stop| answer(backend.clone(), stop, tasks.clone());
        let seen = transferred(transfer, &recorder, notice).await;
        let left = left(&tasks, std::slice::from_ref(&backend), &recorder).await;
        (seen, left, backend.calls())
    })
    .map_err(breaks_when_cursed)?;
    let (seen, left, calls) = &case.value;
    hold(&case, script, notice, seen, calls)?;
    nothing_left(&case, left)
}

/// A panic of a call that got through breaks `told`; one of the answer's own is the answer's own.
fn breaks_when_cursed(verdict: Box<Verdict>) -> Box<Verdict> {
    if verdict.finding.as_ref().is_some_and(|finding| finding.seen.ends_with("is cursed")) {
        return breaks(Kind::Panic, "told", "a panic of a call is told as `Settled::Panicked`")(verdict);
    }
    verdict
}

/// Several at once, in one tracker; the second one is stopped, the others do not notice.
fn several(answer: Answer<'_>) -> Checked {
    let all = scripts();
    for count in [2, 5] {
        let case = Case::run(
            format!("{count} transfers at once, the second is stopped after 15 ms"),
            async |recorder| {
                let tasks = TaskTracker::new();
                let backends: Vec<Backend> =
                    all[..count].iter().map(|script| script.backend(&recorder)).collect();
                let transfers = backends.iter().enumerate().map(|(n, backend)| {
                    let notice = if n == 1 { Notice::Stop(ms(15)) } else { Notice::None };
                    let (tasks, recorder) = (tasks.clone(), &recorder);
                    transferred(move |stop| answer(backend.clone(), stop, tasks), recorder, notice)
                });
                let seen = join_all(transfers).await;
                let left = left(&tasks, &backends, &recorder).await;
                (seen, left, backends.iter().map(Backend::calls).collect::<Vec<_>>())
            },
        )?;
        let (seen, left, calls) = &case.value;
        for (n, ((seen, calls), script)) in seen.iter().zip(calls).zip(&all).enumerate() {
            let notice = if n == 1 { Notice::Stop(ms(15)) } else { Notice::None };
            hold(&case, script, notice, seen, calls)?;
        }
        nothing_left(&case, left)?;
        case.rule(
            "tracked",
            !left.closed,
            "`tasks` is the server's: a transfer does not close it",
            "it was closed, before the shutdown",
        )?;
    }
    Ok(())
}

async fn transferred(
    transfer: impl FnOnce(CancellationToken) -> BoxFuture<'static, (End, End)>,
    recorder: &Recorder,
    notice: Notice,
) -> Seen {
    let stop = CancellationToken::new();
    if notice == Notice::StopBefore {
        stop.cancel();
    }
    let transfer = recorder.lane("transfer", transfer(stop.clone()));
    let mut noticed = (notice == Notice::StopBefore).then(|| recorder.now());
    let transfer = async {
        let (transfer, unlock) = transfer.await;
        (transfer, unlock, recorder.now())
    };
    let told = match notice {
        Notice::None | Notice::StopBefore => Some(transfer.await),
        Notice::Stop(after) => {
            let stops = async {
                // At 0 ms in the first poll, before any task has run: no timer, that would let them.
                if !after.is_zero() {
                    sleep(after).await;
                }
                noticed = Some(recorder.now());
                stop.cancel();
            };
            Some(tokio::join!(transfer, stops).0)
        }
        Notice::Drop(after) => select! {
            // First: it is dropped in the moment in which it could go on.
            biased;
            () = sleep(after) => None,
            told = transfer => Some(told),
        },
        Notice::StopAndDrop(after, later) => {
            let stops = async {
                sleep(after).await;
                noticed = Some(recorder.now());
                stop.cancel();
                sleep(later).await;
            };
            select! {
                biased;
                () = stops => None,
                told = transfer => Some(told),
            }
        }
        Notice::DropAtFirstPoll => transfer.now_or_never(),
        Notice::DropAtPoll(polls) => polled(transfer, polls).await,
    };
    if told.is_none() {
        noticed.get_or_insert(recorder.now());
    }
    let by_us = matches!(notice, Notice::Stop(_) | Notice::StopBefore | Notice::StopAndDrop(..));
    let cancelled_stop = stop.is_cancelled() && !by_us;
    Seen { told, noticed, cancelled_stop }
}

/// Polls it so many times, and then drops it, unless it has ended.
async fn polled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut so_far = 0;
    poll_fn(|context| {
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

/// Shuts down, as a server does.
async fn left(tasks: &TaskTracker, backends: &[Backend], recorder: &Recorder) -> Left {
    let (closed, from) = (tasks.is_closed(), recorder.now());
    tasks.close();
    // A clean-up that never ends is told by another rule.
    timeout(Duration::from_secs(20), tasks.wait()).await.ok();
    let waited = (from, recorder.now());
    let calls = || backends.iter().flat_map(Backend::calls);
    let running = calls().filter(|call| call.ended.is_none()).map(|call| call.id).collect();
    let (tasks, before) = (tasks_left().await, calls().count());
    sleep(Duration::from_secs(5)).await;
    let last = calls().filter_map(|call| Some(call.ended?.0)).max().unwrap_or_default();
    Left { running, tasks, more: calls().count() - before, waited, last, closed }
}

fn nothing_left<T>(case: &Case<T>, left: &Left) -> Checked {
    let running: Vec<&str> = left.running.iter().map(|id| named(*id)).collect();
    let running = if running.is_empty() { String::from("nothing") } else { running.join(", ") };
    case.rule(
        "tracked",
        left.running.is_empty() && left.tasks == 0 && left.more == 0,
        "when `tasks.wait()` is over, no call runs, none is made any more, and no task is alive",
        format!("{running} in flight, {} tasks alive, {} calls made later", left.tasks, left.more),
    )?;
    let (from, over) = left.waited;
    let due = left.last.max(from);
    case.rule(
        "tracked",
        over <= due + GRAIN,
        format!("`tasks.wait()` is over at {}, when nothing runs any more", time(due)),
        format!("at {}", time(over)),
    )
}

fn hold<T>(case: &Case<T>, script: &Script, notice: Notice, seen: &Seen, calls: &[Call]) -> Checked {
    if notice == Notice::StopBefore {
        let asked: Vec<&str> = calls.iter().map(|call| named(call.id)).collect();
        case.rule("stops", asked.is_empty(), "nothing is asked", format!("asked: {}", asked.join(", ")))?;
    }
    for step in STEPS {
        let times = calls.iter().filter(|call| call.id == step).count();
        let rule = if step == UNLOCK { "unlock" } else { "order" };
        case.rule(rule, times <= 1, format!("{} is asked once", named(step)), format!("{times} times"))?;
    }
    case.rule(
        "stops",
        !seen.cancelled_stop,
        "`stop` is the server's: a transfer that ends or is dropped does not cancel it",
        "it was cancelled, for all the other transfers, too",
    )?;
    in_order(case, seen, calls)?;
    if let Some(at) = seen.noticed {
        stops_at(case, at, notice, calls)?;
    }
    for step in [DEBIT, CREDIT] {
        let Some(call) = find(calls, step) else { continue };
        case.rule(
            "finishes",
            !matches!(call.ended, None | Some((_, CallEnd::Dropped))),
            format!("{} was asked, and is awaited to its end", named(step)),
            format!("it {}", ended(call)),
        )?;
    }
    unlocks(case, script, calls)?;
    tells(case, seen, calls)
}

fn in_order<T>(case: &Case<T>, seen: &Seen, calls: &[Call]) -> Checked {
    let free_at = |at| seen.noticed.is_none_or(|noticed| at < noticed);
    case.rule(
        "order",
        find(calls, LOCK).is_some() || !free_at(Duration::ZERO),
        format!("{} is asked at 0 ms", named(LOCK)),
        "it is never asked",
    )?;
    for pair in [LOCK, QUOTE, DEBIT, CREDIT].windows(2) {
        let (before, step) = (find(calls, pair[0]), find(calls, pair[1]));
        let replied = before.and_then(|before| match before.ended {
            Some((at, CallEnd::Replied)) => Some(at),
            _ => None,
        });
        match (replied, step) {
            (None, None) => {}
            (Some(at), None) => {
                let rule = if pair[1] == CREDIT { "finishes" } else { "order" };
                let kept = pair[1] != CREDIT && !free_at(at);
                let expected =
                    format!("{} has replied at {}, {} follows", named(pair[0]), time(at), named(pair[1]));
                case.rule(rule, kept, expected, format!("{} is never asked", named(pair[1])))?;
            }
            (replied, Some(step)) => case.rule(
                "order",
                replied == Some(step.started),
                match replied {
                    Some(at) => format!(
                        "{} is asked at {}, when {} has replied",
                        named(step.id),
                        time(at),
                        named(pair[0])
                    ),
                    None => format!("{} is asked when {} has replied", named(step.id), named(pair[0])),
                },
                format!(
                    "{} was asked at {}, {} {}",
                    named(step.id),
                    time(step.started),
                    named(pair[0]),
                    before.map_or_else(|| String::from("never"), ended)
                ),
            )?,
        }
    }
    Ok(())
}

fn stops_at<T>(case: &Case<T>, at: Duration, notice: Notice, calls: &[Call]) -> Checked {
    let word =
        if matches!(notice, Notice::Stop(_) | Notice::StopAndDrop(..)) { "stopped" } else { "dropped" };
    for step in [LOCK, QUOTE, DEBIT] {
        let Some(call) = find(calls, step) else { continue };
        case.rule(
            "stops",
            call.started <= at,
            format!("{word} at {}: nothing but {} is asked any more", time(at), named(UNLOCK)),
            format!("{} was asked at {}", named(step), time(call.started)),
        )?;
        case.rule(
            "stops",
            step == DEBIT || call.ended.is_some_and(|(end, _)| end <= at),
            format!("{word} at {}: {} is dropped at once", time(at), named(step)),
            format!("it {}", ended(call)),
        )?;
    }
    Ok(())
}

fn unlocks<T>(case: &Case<T>, script: &Script, calls: &[Call]) -> Checked {
    let Some(unlock) = find(calls, UNLOCK) else {
        return case.rule(
            "unlock",
            find(calls, LOCK).is_none(),
            format!("{} was asked, so {} is, at the end", named(LOCK), named(UNLOCK)),
            "it is never asked",
        );
    };
    case.rule(
        "unlock",
        find(calls, LOCK).is_some(),
        format!("no {} without {}", named(UNLOCK), named(LOCK)),
        format!("{} was asked at {}", named(UNLOCK), time(unlock.started)),
    )?;
    let others = calls.iter().filter(|call| call.id != UNLOCK);
    let last = others.max_by_key(|call| call.ended.map_or(Duration::MAX, |(at, _)| at));
    if let Some(last) = last {
        case.rule(
            "unlock",
            last.ended.is_some_and(|(at, _)| at == unlock.started),
            format!("{} is asked when no other call is in flight any more, and then at once", named(UNLOCK)),
            format!("it was asked at {}; {} {}", time(unlock.started), named(last.id), ended(last)),
        )?;
    }
    let took = unlock.ended.map(|(at, end)| (at - unlock.started, end));
    let slow = script.takes(UNLOCK) > BOUND || script.outcome(UNLOCK) == Outcome::Hang;
    let kept = match took {
        Some((took, CallEnd::Dropped)) => slow && took >= BOUND && took <= BOUND + GRAIN,
        Some((_, _)) => !slow,
        None => false,
    };
    let what = if slow { "is dropped after 50 ms" } else { "is awaited, for up to 50 ms" };
    case.rule(
        "bound",
        kept,
        format!("{}, asked at {}, {what}", named(UNLOCK), time(unlock.started)),
        format!("it {}", ended(unlock)),
    )
}

fn tells<T>(case: &Case<T>, seen: &Seen, calls: &[Call]) -> Checked {
    let Some((transfer, unlock, at)) = &seen.told else { return Ok(()) };
    let last = [CREDIT, DEBIT, QUOTE, LOCK].into_iter().find_map(|step| find(calls, step));
    for (what, told, wanted) in [
        (
            "the transfer",
            transfer,
            last.map_or_else(|| described(&Settled::Cancelled), |last| end_of(last, CREDIT)),
        ),
        (
            "UNLOCK",
            unlock,
            find(calls, UNLOCK)
                .map_or_else(|| described(&Settled::Cancelled), |unlock| end_of(unlock, UNLOCK)),
        ),
    ] {
        // What ends in the very moment of the stop may be told as either.
        let tie = last.is_some_and(|last| last.ended.map(|(at, _)| at) == seen.noticed && last.id < DEBIT);
        let kept = described(told) == wanted || tie && matches!(told, Settled::Cancelled);
        case.rule("told", kept, format!("of {what}: {wanted}"), described(told))?;
    }
    let over = calls.iter().filter_map(|call| Some(call.ended?.0)).max().unwrap_or(*at);
    case.rule(
        "told",
        *at <= over + GRAIN,
        format!("both ends are told at {}, when they are there", time(over)),
        format!("at {}", time(*at)),
    )
}

/// What is to be told of a call that was the last; a reply is an end only of the last step.
fn end_of(call: &Call, last: u32) -> String {
    let id = call.id;
    described(&match call.ended.map(|(_, end)| end) {
        Some(CallEnd::Replied) if id == last => Settled::Ok(Reply { id, body: format!("item {id}") }),
        Some(CallEnd::Failed) => Settled::Failed(FetchError::Unavailable { id }),
        Some(CallEnd::Panicked) => return format!("panic: item {id} is cursed"),
        _ => Settled::Cancelled,
    })
}

fn described(end: &End) -> String {
    match end {
        Settled::Ok(reply) => format!("the reply to {}", named(reply.id)),
        Settled::Failed(error) => format!("error: {error}"),
        Settled::Panicked(panic) => format!("panic: {panic}"),
        Settled::Cancelled => String::from("cancelled"),
    }
}

fn find(calls: &[Call], step: u32) -> Option<&Call> {
    calls.iter().find(|call| call.id == step)
}

/// Like "was dropped at 20 ms".
fn ended(call: &Call) -> String {
    let Some((at, end)) = call.ended else { return String::from("is still in flight") };
    let what = match end {
        CallEnd::Replied => "replied",
        CallEnd::Failed => "failed",
        CallEnd::Panicked => "panicked",
        CallEnd::Dropped => "was dropped",
    };
    format!("{what} at {}", time(at))
}

const fn named(step: u32) -> &'static str {
    match step {
        LOCK => "LOCK (fetch 1)",
        QUOTE => "QUOTE (fetch 2)",
        DEBIT => "DEBIT (fetch 3)",
        CREDIT => "CREDIT (fetch 4)",
        UNLOCK => "UNLOCK (fetch 9)",
        _ => "what is not part of it",
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
