//! What is verified on any answer to `timeout`.

use common::{
    Backend, Verdict,
    backend::{Call, FetchError, Outcome, Reply},
    draw::time,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{fmt, time::Duration};
use testing::{Case, Checked, case::verdict, latencies, latencies::shuffled, simulation::tasks_left};
use tokio::time::sleep;

/// Why there are no replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The limit for all calls together passed.
    Total,
    /// The limit for one call passed.
    Each {
        /// The id that was asked for.
        id: u32,
    },
    /// The backend gave an error; it may be a timeout of its own.
    Fetch(FetchError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("Total"),
            Self::Each { id } => write!(f, "Each for id {id}"),
            Self::Fetch(error) => write!(f, "Fetch: {error}"),
        }
    }
}

impl From<FetchError> for LoadError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

type Loaded = Result<Vec<Reply>, LoadError>;
type Answer<'a> = &'a dyn Fn(Backend, Vec<u32>, Duration, Duration) -> BoxFuture<'static, Loaded>;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Vec<u32>, Duration, Duration) -> F) -> Verdict
where
    F: Future<Output = Loaded> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, ids, total, each| answer(backend, ids, total, each).boxed();
    verdict(|| {
        for (calls, total, each) in [
            // Nothing passes any limit.
            (replies([30, 10, 20]), 1000, 500),
            (replies([]), 100, 50),
            // Errors of the backend.
            (vec![reply(10), (ms(20), Outcome::Fail), reply(10)], 1000, 500),
            (vec![reply(10), (ms(20), Outcome::TimeOut), reply(10)], 1000, 500),
            // The limit for one call.
            (replies([10, 400, 10]), 1000, 50),
            (replies([400, 10]), 1000, 80),
            // The limit for all of them: no call is slow, but all together they are.
            (replies([60, 60, 60]), 100, 90),
            (replies([10, 10, 10, 400]), 100, 500),
            // One is nearer than the other, by little; then both pass at 100 ms.
            (replies([20, 400, 10]), 100, 70),
            (replies([20, 400, 10]), 100, 90),
            (replies([30, 30, 400]), 100, 40),
            (replies([400]), 100, 100),
            (replies([400]), 1000, 80),
            (replies([400]), 100, 500),
            // Answers at the very moment of a limit; many, so that luck does not pass.
            (replies([20]), 1000, 20),
            (replies([20; 24]), 1000, 20),
            (vec![reply(10), (ms(20), Outcome::Fail)], 1000, 20),
            // Nothing left: after a call, and to begin with.
            (replies([50, 50, 10]), 100, 90),
            (replies([10, 10]), 0, 50),
        ] {
            let ids = (1..).take(calls.len()).collect();
            Script { ids, calls, total: ms(total), each: ms(each) }.check(answer)?;
        }
        for n in 1..=12 {
            let (ids, calls) = (shuffled(n, 3), replies([10 * n, 20, 70]));
            Script { ids, calls, total: ms(10 * n + 90), each: ms(300) }.check(answer)?;
        }
        let equal = vec![7, 3, 7, 7];
        Script { ids: equal, calls: replies([30, 10, 30, 30]), total: ms(400), each: ms(50) }
            .check(answer)?;
        for seed in 0..150 {
            Script::drawn(seed).check(answer)?;
        }
        for after in [5, 25, 45] {
            stops(answer, ms(after))?;
        }
        Ok(())
    })
}

const fn reply(latency: u64) -> (Duration, Outcome) {
    (ms(latency), Outcome::Reply)
}

fn replies<const N: usize>(latencies: [u64; N]) -> Vec<(Duration, Outcome)> {
    latencies.map(reply).to_vec()
}

/// What the backend does, and the limits. Equal ids have equal calls.
struct Script {
    ids: Vec<u32>,
    calls: Vec<(Duration, Outcome)>,
    total: Duration,
    each: Duration,
}

/// What should come of a script.
struct Right {
    loaded: Loaded,
    /// When the answer returns.
    returned: Duration,
    /// Which ids are asked for, and when.
    asked: Vec<(u32, Duration)>,
    /// The moments at which a call is answered and a limit passes.
    ties: Vec<Duration>,
}

/// What did come of it.
struct Seen {
    loaded: Loaded,
    returned: Duration,
    /// Every call, also those that were made later.
    calls: Vec<Call>,
    /// How many calls had been made when the answer returned.
    made: usize,
    /// How many were in flight once aborted tasks were gone.
    running: usize,
}

impl Script {
    /// One of many, in which limits and answers meet now and then.
    fn drawn(seed: u32) -> Self {
        let n = 1 + seed % 6;
        let mut calls: Vec<_> =
            latencies(seed.into(), n as usize).into_iter().map(|at| (at, Outcome::Reply)).collect();
        let odd = (seed / 6 % n) as usize;
        calls[odd].1 = [Outcome::Reply, Outcome::Fail, Outcome::TimeOut, Outcome::Reply][seed as usize % 4];
        let total = ms(u64::from(10 * (1 + seed * 13 % 21)));
        let each = ms(u64::from(10 * (1 + seed * 7 % 8)));
        Self { ids: shuffled(seed.into(), n), calls, total, each }
    }

    fn name(&self) -> String {
        let calls: Vec<String> = self
            .ids
            .iter()
            .zip(&self.calls)
            .map(|(id, (after, outcome))| match outcome {
                Outcome::Fail => format!("{id} fails after {}", time(*after)),
                Outcome::TimeOut => format!("{id} times out by itself after {}", time(*after)),
                _ => format!("{id} takes {}", time(*after)),
            })
            .collect();
        let calls = match calls.len() {
            0 => String::from("no ids"),
            1..=6 => format!("id {}", calls.join(", ")),
            n => format!("{n} ids, of which {}", calls[0]),
        };
        format!("{calls}; total {}, each {}", time(self.total), time(self.each))
    }

    /// The course that keeps every rule.
    fn right(&self) -> Right {
        let mut right =
            Right { loaded: Ok(Vec::new()), returned: ms(0), asked: Vec::new(), ties: Vec::new() };
        let mut replies = Vec::new();
        for (&id, &(latency, outcome)) in self.ids.iter().zip(&self.calls) {
            let now = right.returned;
            if now >= self.total {
                return Right { loaded: Err(LoadError::Total), ..right };
            }
            right.asked.push((id, now));
            let over = self.total.min(now + self.each);
            right.returned = over.min(now + latency);
            if now + latency > over {
                let whose = if over == self.total { LoadError::Total } else { LoadError::Each { id } };
                return Right { loaded: Err(whose), ..right };
            }
            if now + latency == over {
                right.ties.push(over);
            }
            let error = match outcome {
                Outcome::Fail => FetchError::Unavailable { id },
                Outcome::TimeOut => FetchError::TimedOut { id },
                _ => {
                    replies.push(Reply { id, body: format!("item {id}") });
                    continue;
                }
            };
            return Right { loaded: Err(LoadError::Fetch(error)), ..right };
        }
        Right { loaded: Ok(replies), ..right }
    }

    fn check(&self, answer: Answer<'_>) -> Checked {
        let case = Case::run(self.name(), async |recorder| {
            let mut backend = Backend::new(&recorder);
            for (id, (latency, outcome)) in self.ids.iter().zip(&self.calls) {
                backend = backend.on(*id, *latency, *outcome);
            }
            let loaded = answer(backend.clone(), self.ids.clone(), self.total, self.each).await;
            let (returned, made) = (recorder.now(), backend.calls().len());
            // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
            tasks_left().await;
            let running = backend.in_flight();
            // What runs on in spite of it is seen, and told by its rule rather than as a leak.
            sleep(ms(2000)).await;
            Seen { loaded, returned, calls: backend.calls(), made, running }
        })?;
        self.one_after_the_other(&case)?;
        self.in_total(&case)?;
        nothing_runs_on(&case)?;
        self.not_started(&case)?;
        let right = self.right();
        outcome(&case, &right)?;
        let seen: Vec<_> = case.value.calls.iter().map(|call| (call.id, call.started)).collect();
        let (expected, seen) = (asked(&right.asked), asked(&seen));
        case.rule("in-order", expected == seen, format!("calls for {expected}"), format!("calls for {seen}"))
    }

    fn one_after_the_other(&self, case: &Case<Seen>) -> Checked {
        let calls = &case.value.calls[..case.value.made];
        let ids: Vec<u32> = calls.iter().map(|call| call.id).collect();
        case.rule(
            "in-order",
            self.ids.starts_with(&ids),
            format!("calls for {:?} in this order, once each", self.ids),
            format!("calls for {ids:?}"),
        )?;
        let early = calls.windows(2).find(|pair| pair[0].ended.is_none_or(|(at, _)| pair[1].started < at));
        case.rule(
            "in-order",
            early.is_none(),
            "one call in flight at a time: what to ask next depends on the reply",
            early
                .map(|pair| {
                    let (first, second) = (pair[0].id, pair[1].id);
                    format!(
                        "id {second} asked for at {}, while id {first} was in flight",
                        time(pair[1].started)
                    )
                })
                .unwrap_or_default(),
        )
    }

    fn in_total(&self, case: &Case<Seen>) -> Checked {
        case.rule(
            "total",
            case.value.returned <= self.total,
            format!("an end after {} at the latest", time(self.total)),
            format!("an end after {}: {}", time(case.value.returned), told(&case.value.loaded)),
        )
    }

    fn not_started(&self, case: &Case<Seen>) -> Checked {
        let late = case.value.calls.iter().find(|call| call.started >= self.total);
        case.rule(
            "not-started",
            late.is_none(),
            format!("no call once {} are used up", time(self.total)),
            late.map(|call| format!("a call for id {} at {}", call.id, time(call.started)))
                .unwrap_or_default(),
        )
    }
}

fn outcome(case: &Case<Seen>, right: &Right) -> Checked {
    let Seen { loaded, returned, .. } = &case.value;
    let same_moment = *returned == right.returned;
    let limit = |loaded: &Loaded| matches!(loaded, Err(LoadError::Total | LoadError::Each { .. }));
    let rule = match (&right.loaded, loaded) {
        (right, seen) if right == seen && same_moment => return Ok(()),
        (_, seen) if limit(seen) && right.ties.contains(returned) => "in-time",
        (right, seen) if limit(right) && limit(seen) && same_moment => "whose",
        // It gave up too early: by the limit that it names.
        (_, Err(LoadError::Total)) if *returned < right.returned => "total",
        (_, Err(LoadError::Each { .. })) if *returned < right.returned => "each",
        (Ok(_), Ok(_)) => "in-order",
        (Err(LoadError::Total), _) | (Ok(_), Err(LoadError::Total)) => "total",
        (Err(LoadError::Each { .. }), _) | (Ok(_), Err(LoadError::Each { .. })) => "each",
        (Err(LoadError::Fetch(_)), _) | (Ok(_), Err(LoadError::Fetch(_))) => "passes-through",
    };
    let seen = format!("{} after {}", told(loaded), time(*returned));
    if rule == "in-time" {
        let expected = "the call counts that is answered in the very moment in which its limit passes";
        return case.rule(rule, false, expected, seen);
    }
    case.rule(rule, false, format!("{} after {}", told(&right.loaded), time(right.returned)), seen)
}

fn nothing_runs_on(case: &Case<Seen>) -> Checked {
    let Seen { returned, calls, made, running, .. } = &case.value;
    let more = calls.len() - made;
    case.rule(
        "stops",
        *running == 0 && more == 0,
        format!("nothing in flight when it returned, after {}", time(*returned)),
        format!("calls that ran on: {running}; calls that were made later: {more}"),
    )
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let name = format!("6 ids, 20 ms each, dropped after {}", time(after));
    let case = Case::run(name, async |recorder| {
        let backend = Backend::new(&recorder).latency(ms(20));
        let ids = (1..=6).collect();
        let ended =
            tokio::time::timeout(after, answer(backend.clone(), ids, ms(1000), ms(500))).await.is_ok();
        let made = backend.calls().len();
        tasks_left().await;
        let running = backend.in_flight();
        sleep(ms(2000)).await;
        (ended, running, backend.calls().len() - made)
    })?;
    let (ended, running, more) = case.value;
    case.rule("in-order", !ended, "120 ms for 6 calls of 20 ms", format!("an end within {}", time(after)))?;
    testing::calls::nothing_runs_on(&case, "stops", running, more)
}

fn told(loaded: &Loaded) -> String {
    match loaded {
        Ok(replies) if replies.len() > 6 => format!("{} replies", replies.len()),
        Ok(replies) => {
            let ids: Vec<u32> = replies.iter().map(|reply| reply.id).collect();
            format!("replies {ids:?}")
        }
        Err(error) => format!("the error {error}"),
    }
}

fn asked(calls: &[(u32, Duration)]) -> String {
    let calls: Vec<String> = calls.iter().map(|(id, at)| format!("{id} at {}", time(*at))).collect();
    if calls.is_empty() { String::from("nothing") } else { calls.join(", ") }
}
