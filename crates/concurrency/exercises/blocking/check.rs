//! What is verified on any answer to `blocking`.
//!
//! The work waits at gates that the check opens, so that who runs at once is a matter of order and not of speed. Every step
//! moves the paused clock on by 10 ms, for the picture alone: it stands still while threads run.

use common::{Recorder, Verdict};
use concurrency::BlockingError;
use futures_util::future::BoxFuture;
use std::{
    cell::Cell,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use testing::{Case, Checked, Jobs, case::verdict, latencies::shuffled};
use tokio::{select, task::yield_now, time::advance};
use tokio_util::task::AbortOnDropHandle;

/// What an answer is given to run.
pub(crate) type Work = Box<dyn FnOnce() -> u32 + Send>;
type Outcome = Result<u32, BlockingError>;
/// `Offload::run`.
type Run = Box<dyn Fn(Work) -> BoxFuture<'static, Outcome>>;
/// `Offload::new`.
type Open<'a> = &'a dyn Fn(NonZeroUsize, usize) -> Run;

/// Opens the `Offload` of a module.
macro_rules! offloads {
    ($($module:ident)::+) => {
        &|limit, may_wait| {
            let offload = std::sync::Arc::new($($module)::+::Offload::new(limit, may_wait));
            Box::new(move |work: check::Work| {
                let offload = offload.clone();
                Box::pin(async move { offload.run(work).await })
            })
        }
    };
}
pub(crate) use offloads;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        for (limit, calls, seed) in [(1, 4, 1), (2, 5, 2), (3, 9, 3), (5, 3, 4)] {
            takes_turns(open, limit, calls, seed)?;
        }
        let sizes = [(1, 0), (1, 2), (2, 1), (3, 4)];
        for (limit, may_wait) in sizes {
            says_busy(open, limit, may_wait)?;
        }
        for (limit, may_wait) in [(1, 1), (1, 3), (2, 2)] {
            forgets_who_went_while_it_waited(open, limit, may_wait)?;
        }
        for (limit, may_wait) in [(1, 1), (2, 2), (3, 1)] {
            counts_threads(open, limit, may_wait)?;
        }
        for (limit, may_wait) in [(1, 1), (1, 2), (2, 2)] {
            hands_over_to_who_has_just_gone(open, limit, may_wait)?;
        }
        for limit in [1, 3] {
            survives_panics(open, limit)?;
        }
        Ok(())
    })
}

/// A rule, what it asks for, and what was seen.
struct Broken(&'static str, String, String);

fn need(
    kept: bool,
    rule: &'static str,
    expected: impl fmt::Display,
    seen: impl fmt::Display,
) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err(Broken(rule, expected.to_string(), seen.to_string())) }
}

/// An answer at work.
struct Desk {
    run: Run,
    jobs: Jobs,
    recorder: Recorder,
    limit: usize,
    may_wait: usize,
    called: Cell<bool>,
}

/// A call, in a task of its own; dropping it drops the future that `run` gave.
type Call = AbortOnDropHandle<Outcome>;

impl Desk {
    /// Runs `body` with an answer, and holds what it says against the rules.
    fn case(
        name: String,
        open: Open<'_>,
        (limit, may_wait): (usize, usize),
        body: impl AsyncFnOnce(&Self) -> Result<(), Broken>,
    ) -> Checked {
        let case = Case::run(name, async |recorder| {
            let run = open(NonZeroUsize::new(limit).expect("limits are not zero"), may_wait);
            let desk = Self { run, jobs: Jobs::new(), recorder, limit, may_wait, called: Cell::new(false) };
            let held = body(&desk).await;
            // What still runs ends, and with it the tasks that wait for it: only what never ends is a leak.
            desk.jobs.open_all();
            desk.jobs.until(|ledger| ledger.running() == 0).await;
            desk.jobs.rest().await;
            held.and_then(|()| desk.within_bounds())
        })?;
        match &case.value {
            Ok(()) => Ok(()),
            Err(Broken(rule, expected, seen)) => case.rule(rule, false, expected, seen),
        }
    }

    /// Calls, 10 ms after the one before, and lets everything happen that then happens by itself.
    async fn call(&self, id: u32, work: impl FnOnce() -> u32 + Send + 'static) -> Call {
        if self.called.replace(true) {
            advance(Duration::from_millis(10)).await;
        }
        let lane = self.recorder.try_lane(format!("call {id}"), (self.run)(Box::new(work)));
        let call = AbortOnDropHandle::new(tokio::spawn(lane));
        for _ in 0..3 {
            yield_now().await;
        }
        call
    }

    /// Calls with number `id`, whose work waits at its gate.
    async fn gated(&self, id: u32) -> Call {
        self.call(id, self.jobs.job(id)).await
    }

    /// The same, where there is room for it.
    async fn let_in(&self, id: u32) -> Result<Call, Broken> {
        let call = self.gated(id).await;
        self.at_rest().await?;
        if !call.is_finished() {
            return Ok(call);
        }
        let outcome = self.outcome(id, call, "result").await?;
        let before = id as usize;
        let (run, wait) = (before.min(self.limit), before.saturating_sub(self.limit));
        let expected =
            format!("call {id} is let in: {run} of {} run, {wait} of {} wait", self.limit, self.may_wait);
        Err(Broken("busy", expected, told(&outcome)))
    }

    /// What a call gives that has nothing left to wait for.
    async fn outcome(&self, id: u32, call: Call, rule: &'static str) -> Result<Outcome, Broken> {
        select! {
            biased;
            ended = call => Ok(ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))),
            // A second of real time in which nothing comes.
            _ = self.jobs.until(|_| false) => {
                Err(Broken(rule, format!("call {id} ends"), format!("call {id} waits on, {}", self.now())))
            }
        }
    }

    /// The same, where it is to be the value of its own work.
    async fn value(&self, id: u32, call: Call, rule: &'static str) -> Result<(), Broken> {
        let outcome = self.outcome(id, call, rule).await?;
        need(
            matches!(outcome, Ok(value) if value == id),
            rule,
            format!("call {id} gets the value of its work, {id}"),
            told(&outcome),
        )
    }

    /// Lets the work of one call end, 10 ms later.
    async fn open(&self, id: u32) {
        advance(Duration::from_millis(10)).await;
        self.jobs.open(id);
    }

    /// Waits until `count` have started.
    async fn started(&self, count: usize, rule: &'static str) -> Result<(), Broken> {
        let there = self.jobs.until(move |ledger| ledger.started.len() >= count).await;
        self.within_bounds()?;
        let (running, limit) = (self.jobs.ledger().running(), self.limit);
        let expected = match rule {
            "concurrent" => format!("{limit} run as long as there is work"),
            "panic" => format!("{count} have started: work that has panicked gives its place to the next"),
            _ => format!("{count} have started: a place whose thread has ended is given to the next"),
        };
        need(there, rule, expected, format!("{running} running, {}", self.now()))
    }

    /// Lets whatever can start, start, and looks that nothing has which should not.
    async fn at_rest(&self) -> Result<(), Broken> {
        self.jobs.rest().await;
        self.within_bounds()
    }

    fn within_bounds(&self) -> Result<(), Broken> {
        let ledger = self.jobs.ledger();
        let here = &ledger.on_the_runtime;
        need(
            here.is_empty(),
            "off-thread",
            "the work runs on another thread than the runtime",
            format!("the work of call {} ran on the thread of the runtime", list(here)),
        )?;
        need(
            ledger.peak <= self.limit,
            "bounded",
            format!("at most {} run at once", self.limit),
            format!("{} ran at once", ledger.peak),
        )
    }

    /// Fills all places and all the room, calls 0, 1, 2 ...
    async fn full(&self) -> Result<Vec<Call>, Broken> {
        let mut calls = Vec::new();
        for id in 0..(self.limit + self.may_wait) as u32 {
            let call = self.let_in(id).await?;
            calls.push(call);
        }
        self.started(self.limit, "concurrent").await?;
        Ok(calls)
    }

    /// Calls once more than there is room for.
    async fn refused(&self, id: u32, rule: &'static str, why: &str) -> Result<(), Broken> {
        let call = self.gated(id).await;
        let Self { limit, may_wait, .. } = self;
        let expected = format!("call {id} is refused at once, {why}: {limit} running, {may_wait} waiting");
        let Ok(outcome) = self.outcome(id, call, rule).await else {
            return Err(Broken(rule, expected, format!("call {id} was not refused at once, {}", self.now())));
        };
        let right = matches!(
            outcome,
            Err(BlockingError::Busy { running, waiting }) if running == self.limit && waiting == self.may_wait
        );
        need(right, rule, expected, told(&outcome))?;
        self.at_rest().await?;
        let started = self.jobs.ledger().started.contains(&id);
        need(
            !started,
            rule,
            "the work of a call that was refused never starts",
            format!("that of call {id} did"),
        )
    }

    fn now(&self) -> String {
        let ledger = self.jobs.ledger();
        format!("when {} had started and {} had ended", count(&ledger.started), count(&ledger.ended))
    }
}

/// More calls than places: they take turns, whoever ends first.
fn takes_turns(open: Open<'_>, limit: usize, calls: u32, seed: u64) -> Checked {
    let name = format!("{calls} calls, limit {limit}, room for all to wait");
    Desk::case(name, open, (limit, calls as usize), async |desk| {
        let mut waiting = Vec::new();
        for id in 0..calls {
            waiting.push(Some(desk.let_in(id).await?));
        }
        for ended in 0..calls as usize {
            desk.started((ended + limit).min(calls as usize), "concurrent").await?;
            desk.at_rest().await?;
            // Any of those that run may be the next to end.
            let ledger = desk.jobs.ledger();
            let running: Vec<u32> =
                ledger.started.iter().copied().filter(|id| !ledger.ended.contains(id)).collect();
            let order = shuffled(seed + ended as u64, running.len() as u32);
            let position = order.iter().position(|place| *place == 1).unwrap_or_default();
            let id = running[position];
            desk.open(id).await;
            if let Some(call) = waiting[id as usize].take() {
                desk.value(id, call, "result").await?;
            }
        }
        Ok(())
    })
}

fn says_busy(open: Open<'_>, limit: usize, may_wait: usize) -> Checked {
    let name = format!("limit {limit}, {may_wait} may wait, and more come");
    Desk::case(name, open, (limit, may_wait), async |desk| {
        let calls = desk.full().await?;
        desk.refused(90, "busy", "as it is full").await?;
        desk.refused(91, "busy", "as it is full").await?;
        // One ends: there is room for one, and for one only.
        desk.open(0).await;
        let mut calls = calls.into_iter();
        if let Some(first) = calls.next() {
            desk.value(0, first, "result").await?;
        }
        let next = if may_wait > 0 { limit + 1 } else { limit };
        desk.started(next, "concurrent").await?;
        desk.at_rest().await?;
        let late = desk.gated(92).await;
        desk.at_rest().await?;
        if late.is_finished() {
            let outcome = desk.outcome(92, late, "busy").await?;
            let expected = "call 92 is let in: call 0 has ended and made room";
            return Err(Broken("busy", String::from(expected), told(&outcome)));
        }
        desk.started(limit + 1, "concurrent").await?;
        desk.refused(93, "busy", "as call 92 took the room").await?;
        advance(Duration::from_millis(10)).await;
        desk.jobs.open_all();
        for (id, call) in (1..).zip(calls) {
            desk.value(id, call, "result").await?;
        }
        desk.value(92, late, "result").await
    })
}

fn forgets_who_went_while_it_waited(open: Open<'_>, limit: usize, may_wait: usize) -> Checked {
    let name = format!("limit {limit}, {may_wait} may wait: one of them goes, another comes");
    Desk::case(name, open, (limit, may_wait), async |desk| {
        let mut calls = desk.full().await?;
        // The first of those that wait: when it counts as there, it is the next to be started.
        let gone = limit as u32;
        advance(Duration::from_millis(10)).await;
        drop(calls.remove(limit));
        desk.at_rest().await?;
        let next = desk.gated(90).await;
        desk.at_rest().await?;
        if next.is_finished() {
            let outcome = desk.outcome(90, next, "never-starts").await?;
            let expected = format!("call {gone} has gone, and call 90 is let in to wait in its room");
            return Err(Broken("never-starts", expected, told(&outcome)));
        }
        advance(Duration::from_millis(10)).await;
        desk.jobs.open_all();
        for (id, call) in (0..).filter(|id| *id != gone).zip(calls) {
            desk.value(id, call, "never-starts").await?;
        }
        desk.value(90, next, "never-starts").await?;
        desk.at_rest().await?;
        need(
            !desk.jobs.ledger().started.contains(&gone),
            "never-starts",
            format!("the work of call {gone}, whose caller went while it waited, never starts"),
            "it was started",
        )
    })
}

/// A place is given to a caller that waits, and it goes before it has so much as looked.
fn hands_over_to_who_has_just_gone(open: Open<'_>, limit: usize, may_wait: usize) -> Checked {
    let name = format!("limit {limit}, {may_wait} may wait: one of them goes as it is given a place");
    Desk::case(name, open, (limit, may_wait), async |desk| {
        let mut calls = Vec::new();
        for id in 0..limit as u32 {
            calls.push(desk.let_in(id).await?);
        }
        desk.started(limit, "concurrent").await?;
        // No task looks at this one: what it is given lies there until it is dropped.
        let gone = limit as u32;
        let woken = Arc::new(Woken::default());
        let mut waits = (desk.run)(Box::new(desk.jobs.job(gone)));
        for _ in 0..8 {
            woken.0.store(false, SeqCst);
            let looked = waits.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone())));
            if let Poll::Ready(outcome) = looked {
                let expected = format!("call {gone} is let in: {limit} run, 0 of {may_wait} wait");
                return Err(Broken("busy", expected, told(&outcome)));
            }
            desk.at_rest().await?;
            if !woken.0.load(SeqCst) {
                break;
            }
        }
        advance(Duration::from_millis(10)).await;
        for (id, call) in (0..).zip(calls) {
            desk.jobs.open(id);
            desk.value(id, call, "result").await?;
        }
        // Its thread gives the place away a moment after the work has ended. Not everybody wakes who is given one.
        for _ in 0..20 {
            desk.at_rest().await?;
            if woken.0.load(SeqCst) {
                break;
            }
        }
        drop(waits);
        desk.jobs.open(gone);
        desk.at_rest().await?;
        let mut calls = Vec::new();
        for id in 90..90 + limit as u32 {
            calls.push(desk.gated(id).await);
        }
        let all = 90..90 + limit as u32;
        let there = desk.jobs.until(move |ledger| all.clone().all(|id| ledger.started.contains(&id))).await;
        let ledger = desk.jobs.ledger();
        need(
            there,
            "never-starts",
            format!("{limit} run: call {gone} went as it was given a place, which is free"),
            format!("{} running", ledger.running()),
        )?;
        desk.jobs.open_all();
        for (id, call) in (90..).zip(calls) {
            desk.value(id, call, "never-starts").await?;
        }
        Ok(())
    })
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

fn counts_threads(open: Open<'_>, limit: usize, may_wait: usize) -> Checked {
    let name = format!("limit {limit}, {may_wait} may wait: a caller goes whose work runs");
    Desk::case(name, open, (limit, may_wait), async |desk| {
        let mut calls = desk.full().await?;
        advance(Duration::from_millis(10)).await;
        drop(calls.remove(0));
        let place =
            format!("call 0 has gone, but its thread still runs: {limit} running, {may_wait} waiting");
        let taken = |broken| match broken {
            Broken("bounded", _, seen) => Broken("place", place.clone(), seen),
            other => other,
        };
        for _ in 0..2 {
            desk.at_rest().await.map_err(taken)?;
        }
        let started = desk.jobs.ledger().started.len();
        need(started == limit, "place", &place, format!("{started} running"))?;
        desk.refused(90, "place", "as the thread of call 0 still runs").await.map_err(taken)?;
        desk.open(0).await;
        desk.started(limit + 1, "place").await?;
        advance(Duration::from_millis(10)).await;
        desk.jobs.open_all();
        for (id, call) in (1..).zip(calls) {
            desk.value(id, call, "place").await?;
        }
        Ok(())
    })
}

/// More panics than places, with and without somebody who waits for them.
fn survives_panics(open: Open<'_>, limit: usize) -> Checked {
    let name = format!("limit {limit}, 2 may wait: work that panics");
    Desk::case(name, open, (limit, 2), async |desk| {
        let all = limit as u32 + 2;
        for round in 0..3 {
            let mut calls = Vec::new();
            let ids = (10 * round)..(10 * round + all);
            for id in ids.clone() {
                calls.push(desk.call(id, desk.jobs.panicking(id)).await);
            }
            for (turn, (id, call)) in ids.zip(calls).enumerate() {
                let before = (round * all) as usize;
                desk.started((before + turn + limit).min(before + all as usize), "panic").await?;
                if round == 1 {
                    // Nobody hears of these.
                    drop(call);
                    desk.open(id).await;
                    let ended = desk.jobs.until(move |ledger| ledger.ended.contains(&id)).await;
                    need(ended, "panic", format!("the work of call {id} runs"), desk.now())?;
                    continue;
                }
                desk.open(id).await;
                let outcome = desk.outcome(id, call, "panic").await?;
                let expected = format!("job {id} is cursed");
                let right =
                    matches!(&outcome, Err(BlockingError::Panicked(panic)) if panic.message() == expected);
                need(right, "panic", format!("call {id} gets `Panicked`: {expected}"), told(&outcome))?;
            }
            desk.at_rest().await?;
        }
        let last = desk.gated(90).await;
        desk.open(90).await;
        desk.value(90, last, "panic").await
    })
    .map_err(testing::case::breaks(
        common::verdict::Kind::Panic,
        "panic",
        "a panic of the work comes back as `Panicked`, and not as a panic of the caller",
    ))
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(value) => format!("the value {value}"),
        Err(error) => format!("{error}"),
    }
}

fn count(ids: &[u32]) -> String {
    if ids.is_empty() { String::from("none") } else { ids.len().to_string() }
}

fn list(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
