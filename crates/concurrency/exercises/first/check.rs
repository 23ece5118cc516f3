//! What is verified on any answer to `first`.

use common::{
    Backend, Verdict,
    backend::{Call, CallEnd, FetchError, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{num::NonZeroUsize, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};

type Answered = Result<Reply, Vec<FetchError>>;
type Answer<'a> = &'a dyn Fn(Backend, Vec<u32>, Duration, NonZeroUsize) -> BoxFuture<'static, Answered>;

/// After which no answer is expected any more.
const PATIENCE: Duration = Duration::from_secs(30);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Vec<u32>, Duration, NonZeroUsize) -> F) -> Verdict
where
    F: Future<Output = Answered> + Send + 'static,
{
    let answer: Answer<'_> =
        &|backend, replicas, delay, limit| answer(backend, replicas, delay, limit).boxed();
    verdict(|| {
        use Outcome::{Fail, Hang, Reply, TimeOut};
        for (calls, delay, limit) in [
            // Quick enough, or nearly.
            (vec![(10, Reply), (10, Reply)], 50, 2),
            (vec![(70, Reply), (40, Reply)], 50, 2),
            // The hedge wins, against one that never answers, too.
            (vec![(400, Reply), (20, Reply), (20, Reply)], 50, 3),
            (vec![(0, Hang), (0, Hang), (20, Reply)], 30, 3),
            // Failures: of the only one in flight, of one of two, of the last one.
            (vec![(10, Fail), (20, Reply)], 50, 2),
            (vec![(10, TimeOut), (10, Fail), (90, Reply), (15, Reply)], 50, 2),
            (vec![(90, Reply), (10, Fail), (20, Fail)], 30, 3),
            (vec![(120, Reply), (10, Fail), (200, Reply), (200, Reply)], 30, 4),
            // No more than so many.
            (vec![(400, Reply), (300, Reply), (10, Reply)], 30, 2),
            (vec![(400, Reply), (300, Reply), (290, Reply), (10, Reply)], 30, 3),
            (vec![(90, Fail), (100, Fail), (20, Reply)], 30, 2),
            (vec![(70, Reply), (10, Reply)], 30, 1),
            (vec![(70, Fail), (10, Reply)], 30, 1),
            // Nobody replies: the last to fail is not the last in order.
            (vec![(10, Fail)], 30, 2),
            (vec![(100, Fail), (45, TimeOut), (10, Fail)], 30, 3),
            (vec![(10, Fail), (10, Fail), (10, Fail)], 30, 1),
        ] {
            let calls = calls.into_iter().map(|(latency, outcome)| (ms(latency), outcome)).collect();
            Script { replicas: shuffled(limit as u64, 9), calls, delay: ms(delay), limit }.check(answer)?;
        }
        (0..200).filter_map(Script::drawn).try_for_each(|script| script.check(answer))?;
        takes_nothing(answer)?;
        for after in [5, 25, 45, 75] {
            stops(answer, ms(after))?;
        }
        Ok(())
    })
}

/// What the replicas do, and how they are to be asked.
struct Script {
    replicas: Vec<u32>,
    calls: Vec<(Duration, Outcome)>,
    delay: Duration,
    limit: usize,
}

/// The course that keeps every rule.
struct Right {
    /// When each replica is asked, and whether because one has failed in that moment.
    asked: Vec<(Duration, bool)>,
    returned: Duration,
    /// The position of the one whose reply it is.
    winner: Option<usize>,
}

/// What happened.
struct Seen {
    /// Nothing if there was no end.
    answered: Option<Answered>,
    returned: Duration,
    /// Calls in flight in the moment of the return.
    running: usize,
    /// How many had been made by then.
    made: usize,
    /// Every call, also those that were made later.
    calls: Vec<Call>,
    peak: usize,
}

impl Script {
    /// One of many; nothing if two things happen at the same moment in it, for then there are two right courses.
    fn drawn(seed: u64) -> Option<Self> {
        let (count, limit) = (1 + seed as usize % 6, 1 + seed as usize / 6 % 4);
        let outcome = |n| match n % 3 {
            0 => Outcome::Reply,
            1 => Outcome::Fail,
            _ => Outcome::TimeOut,
        };
        let outcomes = shuffled(seed, count as u32).into_iter().map(outcome);
        let drawn = latencies(seed, count).into_iter().zip(1..).map(|(latency, n)| latency * 2 + ms(n));
        let delay = ms([15, 25, 40, 75][seed as usize % 4]);
        let script = Self { replicas: shuffled(seed, 9), calls: drawn.zip(outcomes).collect(), delay, limit };
        script.right().is_some().then_some(script)
    }

    fn replicas(&self) -> &[u32] {
        &self.replicas[..self.calls.len()]
    }

    fn name(&self) -> String {
        let calls = self.replicas().iter().zip(&self.calls).map(|(id, (after, outcome))| match outcome {
            Outcome::Fail | Outcome::TimeOut => format!("{id} fails after {}", time(*after)),
            Outcome::Hang => format!("{id} never answers"),
            _ => format!("{id} replies after {}", time(*after)),
        });
        let calls: Vec<String> = calls.collect();
        format!("replica {}; delay {}, limit {}", calls.join(", "), time(self.delay), self.limit)
    }

    /// The right course, if there is only one.
    fn right(&self) -> Option<Right> {
        let (mut now, mut due) = (ms(0), ms(0));
        let (mut asked, mut in_flight) = (Vec::new(), Vec::<(Duration, usize)>::new());
        let mut failed = false;
        loop {
            let room = in_flight.len() < self.limit && asked.len() < self.calls.len();
            if room && now == due {
                let (latency, outcome) = self.calls[asked.len()];
                let latency = if outcome == Outcome::Hang { ms(1_000_000) } else { latency };
                in_flight.push((now + latency, asked.len()));
                asked.push((now, failed));
                due = now + self.delay;
                continue;
            }
            let next = in_flight.iter().copied().min();
            // Two that end in one moment may be seen one after the other, or at once: every course is right.
            let ties =
                in_flight.iter().filter(|(at, _)| next.is_some_and(|(next, _)| *at == next)).count() > 1;
            match next {
                None => return Some(Right { asked, returned: now, winner: None }),
                Some((at, _)) if ties || (room && at == due) => return None,
                Some((at, _)) if room && due < at => (now, failed) = (due, false),
                Some((at, place)) => {
                    if self.calls[place].1 == Outcome::Reply {
                        return Some(Right { asked, returned: at, winner: Some(place) });
                    }
                    in_flight.retain(|call| *call != (at, place));
                    (now, due, failed) = (at, at, true);
                }
            }
        }
    }

    fn check(&self, answer: Answer<'_>) -> Checked {
        let right = self.right().expect("a case with one right course");
        let case = Case::run(self.name(), async |recorder| {
            let mut backend = Backend::new(&recorder);
            for (id, (latency, outcome)) in self.replicas.iter().zip(&self.calls) {
                backend = backend.on(*id, *latency, *outcome);
            }
            let answer = answer(backend.clone(), self.replicas().to_vec(), self.delay, limit_of(self.limit));
            let answered = timeout(PATIENCE, answer).await.ok();
            // In this very moment: nobody else gets a turn in between.
            let (returned, running, made) = (recorder.now(), backend.in_flight(), backend.calls().len());
            // What runs on in spite of it is seen, and told by its rule rather than as a leak.
            sleep(ms(2000)).await;
            Seen { answered, returned, running, made, calls: backend.calls(), peak: backend.peak() }
        })?;
        self.in_order(&case)?;
        let Seen { peak, .. } = case.value;
        case.rule(
            "bounded",
            peak <= self.limit,
            format!("at most {} in flight", self.limit),
            format!("{peak} in flight at once"),
        )?;
        self.asked_in_time(&case, &right)?;
        self.stays_in_the_race(&case)?;
        self.answered(&case, &right)?;
        let Seen { running, made, ref calls, .. } = case.value;
        let more = calls.len() - made;
        case.rule(
            "over",
            running == 0 && more == 0,
            format!("no call in flight at {}, when it returns, and none made later", time(right.returned)),
            format!("{running} in flight when it returned, {more} made later"),
        )
    }

    fn in_order(&self, case: &Case<Seen>) -> Checked {
        let ids: Vec<u32> = case.value.calls.iter().map(|call| call.id).collect();
        case.rule(
            "in-order",
            self.replicas().starts_with(&ids),
            format!("replicas {:?} asked in this order, once each", self.replicas()),
            format!("replicas {ids:?}"),
        )
    }

    /// The first difference counts: what comes after it is its consequence.
    fn asked_in_time(&self, case: &Case<Seen>, right: &Right) -> Checked {
        let Seen { calls, made, returned, .. } = &case.value;
        for (place, id) in self.replicas().iter().enumerate() {
            let seen = calls[..*made].get(place).map(|call| call.started);
            let expected = right.asked.get(place).copied();
            if expected.map(|(at, _)| at) == seen {
                continue;
            }
            let asked = seen.map_or(String::from("never asked"), |at| format!("asked at {}", time(at)));
            let seen_asked = format!("replica {id} is {asked}");
            return match (expected, seen) {
                // It had returned by then: what it returned is to be looked at.
                (Some((at, _)), None) if *returned <= at => Ok(()),
                (Some((at, failed)), seen) if seen.is_none_or(|seen| seen > at) => {
                    let rule = if failed { "fails-over" } else { "hedges" };
                    let why = if failed { "when one has failed" } else { "when `delay` has passed" };
                    case.rule(rule, false, format!("replica {id} asked at {}, {why}", time(at)), seen_asked)
                }
                (Some((at, _)), _) => {
                    case.rule("patient", false, format!("replica {id} asked at {}", time(at)), seen_asked)
                }
                // The answer should have been there by then.
                (None, Some(seen)) if seen >= right.returned => Ok(()),
                (None, _) => {
                    let why =
                        format!("replica {id} not asked: the answer is there at {}", time(right.returned));
                    case.rule("patient", false, why, seen_asked)
                }
            };
        }
        Ok(())
    }

    fn stays_in_the_race(&self, case: &Case<Seen>) -> Checked {
        let Seen { calls, returned, .. } = &case.value;
        let dropped = calls
            .iter()
            .find(|call| call.ended.is_some_and(|(at, end)| end == CallEnd::Dropped && at < *returned));
        case.rule(
            "first-reply",
            dropped.is_none(),
            "who has been asked stays in the race until there is a reply",
            dropped
                .map(|call| {
                    let at = call.ended.map_or(ms(0), |(at, _)| at);
                    format!("the call to replica {} dropped at {}", call.id, time(at))
                })
                .unwrap_or_default(),
        )
    }

    fn answered(&self, case: &Case<Seen>, right: &Right) -> Checked {
        let Seen { answered, returned, .. } = &case.value;
        let (rule, expected) = match right.winner {
            Some(place) => ("first-reply", format!("the reply of replica {}", self.replicas()[place])),
            None => {
                let errors =
                    self.replicas().iter().zip(&self.calls).map(|(&id, (_, outcome))| match outcome {
                        Outcome::TimeOut => FetchError::TimedOut { id },
                        _ => FetchError::Unavailable { id },
                    });
                ("errors", told(&Err(errors.collect())))
            }
        };
        let seen = answered.as_ref().map_or(String::from("no answer"), told);
        case.rule(
            rule,
            seen == expected && *returned == right.returned,
            format!("{expected}, at {}", time(right.returned)),
            format!("{seen}, at {}", time(*returned)),
        )
    }
}

fn takes_nothing(answer: Answer<'_>) -> Checked {
    let empty = "an empty list of errors";
    let case = Case::run("no replicas", async |recorder| {
        answer(Backend::new(&recorder), Vec::new(), ms(30), limit_of(2)).await
    })
    .map_err(breaks(Kind::Panic, "errors", empty))
    .map_err(breaks(Kind::Hang, "errors", empty))
    .map_err(breaks(Kind::Deadlock, "errors", empty))?;
    case.rule("errors", case.value == Err(Vec::new()), empty, told(&case.value))
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let name =
        format!("5 replicas that reply after 400 ms; delay 20 ms, limit 3; dropped after {}", time(after));
    let case = Case::run(name, async |recorder| {
        let backend = Backend::new(&recorder).latency(ms(400));
        let answer = answer(backend.clone(), (1..=5).collect(), ms(20), limit_of(3));
        let ended = timeout(after, answer).await.is_ok();
        let made = backend.calls().len();
        // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
        tasks_left().await;
        let running = backend.in_flight();
        sleep(ms(2000)).await;
        (ended, running, backend.calls().len() - made)
    })?;
    let (ended, running, more) = case.value;
    case.rule("first-reply", !ended, "no answer before 400 ms", format!("one within {}", time(after)))?;
    case.rule(
        "stops",
        running == 0 && more == 0,
        "no call runs on, none is made any more",
        format!("calls that ran on: {running}; calls that were made later: {more}"),
    )
}

fn told(answered: &Answered) -> String {
    match answered {
        Ok(reply) => format!("the reply of replica {}", reply.id),
        Err(errors) if errors.is_empty() => String::from("no errors"),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(FetchError::to_string).collect();
            format!("the errors: {}", errors.join(", "))
        }
    }
}

fn limit_of(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("limits are not zero")
}
