//! What is verified on any answer to `join`.

use common::{
    Backend, Recorder, Verdict,
    backend::{CallEnd, FetchError, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use concurrency::Settled;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use testing::{
    Case, Checked,
    calls::{asked_for_each, nothing_runs_on, seen_to_their_end},
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};

type Read<'a> = LocalBoxFuture<'a, Result<[Reply; 3], FetchError>>;
type Write<'a> = LocalBoxFuture<'a, [Settled<(), FetchError>; 3]>;

/// The two functions of an answer.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) read: for<'a> fn(&'a Backend, [u32; 3]) -> Read<'a>,
    pub(crate) write: for<'a> fn(&'a Backend, [u32; 3]) -> Write<'a>,
}

/// Those of a module.
macro_rules! answer {
    ($($module:ident)::+) => {
        check::Answer {
            read: |backend, parts| Box::pin($($module)::+::read(backend, parts)),
            write: |backend, parts| Box::pin($($module)::+::write(backend, parts)),
        }
    };
}
pub(crate) use answer;

/// What `store` adds to a part for the second of its calls.
const INDEX: u32 = 100;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(answer: Answer) -> Verdict {
    verdict(|| {
        for seed in 1..=4 {
            reads(answer, seed)?;
        }
        reads_meet(answer)?;
        for failing in 0..3 {
            fails_at_once(answer, failing, ms(60), Outcome::Reply)?;
            fails_at_once(answer, failing, ms(60), Outcome::Hang)?;
            fails_at_once(answer, failing, ms(5), Outcome::Reply)?;
        }
        fails_with_the_first(answer)?;
        for seed in 1..=4 {
            writes(answer, &Script::fine(seed))?;
        }
        writes_meet(answer)?;
        for script in Script::accidents() {
            writes(answer, &script)?;
        }
        for after in [5, 15] {
            read_stops(answer, ms(after))?;
        }
        // In the upload, and in the entry.
        for after in [5, 15, 25, 35] {
            write_stops(answer, ms(after))?;
        }
        Ok(())
    })
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn parts(seed: u64) -> [u32; 3] {
    // Ids that are not their places, so that sorting by id is not the order of the input.
    let ids = shuffled(seed, 9);
    [ids[0], ids[4], ids[8]]
}

fn reads(answer: Answer, seed: u64) -> Checked {
    let parts = parts(seed);
    let drawn = latencies(seed, 3);
    let case = Case::run(format!("read parts {parts:?}"), async |recorder| {
        let mut backend = Backend::new(&recorder);
        for (part, latency) in parts.iter().zip(&drawn) {
            backend = backend.on(*part, *latency, Outcome::Reply);
        }
        let replies = (answer.read)(&backend, parts).await;
        (replies, backend)
    })?;
    let (replies, backend) = &case.value;
    asked_for_each(&case, "parts", &parts, &backend.calls())?;
    seen_to_their_end(&case, "parts", &backend.calls())?;
    all_at_once(&case, backend, drawn.iter().copied().max().unwrap_or_default())?;
    let told = match replies {
        Ok(replies) => format!("replies to {:?}", replies.each_ref().map(|reply| reply.id)),
        Err(error) => format!("error: {error}"),
    };
    case.rule("parts", told == format!("replies to {parts:?}"), format!("replies to {parts:?}"), told)
}

fn reads_meet(answer: Answer) -> Checked {
    Case::run("read three parts that wait until all are in flight", async |recorder: Recorder| {
        let backend = Backend::new(&recorder).meeting_of(3);
        drop((answer.read)(&backend, [1, 2, 3]).await);
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "3 calls in flight at once"))?;
    Ok(())
}

/// One fails at 20 ms, the next one in the circle replies at 10 ms, and the last is early, late or never there.
fn fails_at_once(answer: Answer, failing: usize, other: Duration, outcome: Outcome) -> Checked {
    let (when, all_fine) = (ms(20), "an end at 20 ms, with the error");
    let parts = [4, 8, 6];
    let (bad, good, last) = (parts[failing], parts[(failing + 1) % 3], parts[(failing + 2) % 3]);
    let last_does = match outcome {
        Outcome::Hang => String::from("never answers"),
        _ => format!("answers after {}", time(other)),
    };
    let name = format!("read parts {parts:?}: {bad} fails after 20 ms, {last} {last_does}");
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = Backend::new(&recorder)
            .on(bad, when, Outcome::Fail)
            .on(good, ms(10), Outcome::Reply)
            .on(last, other, outcome);
        let replies = (answer.read)(&backend, parts).await;
        let at = recorder.now();
        // An aborted task goes when the scheduler next looks at it: it gets that chance, but no time.
        tasks_left().await;
        let running = backend.in_flight();
        sleep(Duration::from_secs(5)).await;
        (replies, at, running, backend.calls().len())
    })
    .map_err(breaks(Kind::Deadlock, "fails-at-once", all_fine))?;
    let (replies, at, running, calls) = &case.value;
    let seen = match replies {
        Ok(_) => format!("replies at {}, and no error", time(*at)),
        Err(error) => format!("an end at {}, with the error \"{error}\"", time(*at)),
    };
    case.rule(
        "concurrent",
        *calls == 3,
        "all three are in flight when one fails",
        format!("{calls} of 3 calls were made before the failure at {}", time(*at)),
    )?;
    let right = *at == when && *replies == Err(FetchError::Unavailable { id: bad });
    case.rule("fails-at-once", right, all_fine, seen)?;
    case.rule(
        "fails-at-once",
        *running == 0,
        "no call runs on when the error is returned",
        format!("{running} in flight after the return"),
    )
}

fn fails_with_the_first(answer: Answer) -> Checked {
    let case = Case::run("read parts [1, 2, 3]: 1 fails after 30 ms, 3 after 10 ms", async |recorder| {
        let backend = Backend::new(&recorder).latency(ms(20)).on(1, ms(30), Outcome::Fail).on(
            3,
            ms(10),
            Outcome::TimeOut,
        );
        let replies = (answer.read)(&backend, [1, 2, 3]).await;
        (replies, recorder.now())
    })?;
    let (replies, at) = &case.value;
    case.rule(
        "fails-at-once",
        *replies == Err(FetchError::TimedOut { id: 3 }) && *at == ms(10),
        "an end at 10 ms, with the error of part 3",
        format!("an end at {}, with {replies:?}", time(*at)),
    )
}

/// What becomes of the two calls of each part.
struct Script {
    parts: [u32; 3],
    calls: [[(u64, Outcome); 2]; 3],
}

impl Script {
    fn fine(seed: u64) -> Self {
        let drawn = latencies(seed, 6);
        let call = |n: usize| (u64::try_from(drawn[n].as_millis()).unwrap_or(10), Outcome::Reply);
        Self { parts: parts(seed), calls: [[call(0), call(1)], [call(2), call(3)], [call(4), call(5)]] }
    }

    fn accidents() -> Vec<Self> {
        use Outcome::{Fail, Panic, Reply, TimeOut};
        let script = |parts, calls| Self { parts, calls };
        vec![
            // Whoever stops at the first error stops while the others are at their first or second call.
            script(
                [3, 1, 2],
                [[(5, Fail), (10, Reply)], [(10, Reply), (10, Reply)], [(2, Reply), (30, Reply)]],
            ),
            script(
                [7, 9, 8],
                [[(10, Reply), (50, Reply)], [(30, Reply), (20, Reply)], [(10, Reply), (10, TimeOut)]],
            ),
            script(
                [5, 6, 4],
                [[(30, Fail), (10, Reply)], [(10, TimeOut), (10, Reply)], [(10, Reply), (10, Fail)]],
            ),
            script(
                [1, 2, 3],
                [[(10, Reply), (20, Reply)], [(5, Panic), (10, Reply)], [(10, Reply), (40, Reply)]],
            ),
            script(
                [6, 2, 9],
                [[(10, Reply), (10, Panic)], [(10, Reply), (30, Reply)], [(30, Reply), (10, Fail)]],
            ),
            script(
                [8, 3, 5],
                [[(30, Panic), (10, Reply)], [(10, Fail), (10, Reply)], [(10, Reply), (10, Panic)]],
            ),
        ]
    }

    fn name(&self) -> String {
        let accidents = self.parts.iter().zip(&self.calls).filter_map(|(part, calls)| {
            let step = calls.iter().position(|(_, outcome)| *outcome != Outcome::Reply)?;
            let where_ = ["upload", "entry in the index"][step];
            Some(match calls[step].1 {
                Outcome::Panic => format!("the {where_} of {part} panics"),
                Outcome::TimeOut => format!("the {where_} of {part} times out"),
                _ => format!("the {where_} of {part} fails"),
            })
        });
        let accidents: Vec<String> = accidents.collect();
        let colon = if accidents.is_empty() { "" } else { ": " };
        format!("write parts {:?}{colon}{}", self.parts, accidents.join(", "))
    }

    fn backend(&self, recorder: &Recorder) -> Backend {
        let mut backend = Backend::new(recorder);
        for (part, calls) in self.parts.iter().zip(&self.calls) {
            for (id, (latency, outcome)) in [*part, INDEX + part].into_iter().zip(calls) {
                backend = backend.on(id, ms(*latency), *outcome);
            }
        }
        backend
    }

    /// The calls that are to be made, how long they take, and what comes of each part.
    fn wanted(&self) -> (Vec<u32>, Duration, Vec<String>) {
        let (mut ids, mut longest, mut outcomes) = (Vec::new(), 0, Vec::new());
        for (part, calls) in self.parts.iter().zip(&self.calls) {
            let (mut took, mut ended) = (0, String::from("ok"));
            for (id, (latency, outcome)) in [*part, INDEX + part].into_iter().zip(calls) {
                ids.push(id);
                took += latency;
                ended = match outcome {
                    Outcome::Fail => format!("error: {}", FetchError::Unavailable { id }),
                    Outcome::TimeOut => format!("error: {}", FetchError::TimedOut { id }),
                    Outcome::Panic => format!("panic: item {id} is cursed"),
                    Outcome::Reply | Outcome::Hang => continue,
                };
                break;
            }
            longest = longest.max(took);
            outcomes.push(ended);
        }
        (ids, ms(longest), outcomes)
    }
}

fn writes(answer: Answer, script: &Script) -> Checked {
    let (ids, longest, wanted) = script.wanted();
    let to_the_end = "the panic of one part stops no other: all three are brought to their end";
    let case = Case::run(script.name(), async |recorder: Recorder| {
        let backend = script.backend(&recorder);
        let outcomes = (answer.write)(&backend, script.parts).await;
        (outcomes, backend)
    })
    .map_err(breaks(Kind::Panic, "to-the-end", to_the_end))?;
    let (outcomes, backend) = &case.value;
    let calls = backend.calls();
    let cut = calls.iter().find(|call| !matches!(call.ended, Some((_, end)) if end != CallEnd::Dropped));
    let missing = ids.iter().find(|id| !calls.iter().any(|call| call.id == **id));
    let seen = match (cut, missing) {
        (Some(call), _) => {
            format!("{} was dropped under way; `write` ended at {}", step(call.id), time(case.elapsed))
        }
        (None, Some(id)) => format!("{} was never made; `write` ended at {}", step(*id), time(case.elapsed)),
        (None, None) => String::new(),
    };
    case.rule("to-the-end", seen.is_empty(), "both calls of each part that has not failed itself", seen)?;
    asked_for_each(&case, "parts", &ids, &calls)?;
    all_at_once(&case, backend, longest)?;
    let told: Vec<String> = outcomes.iter().map(described).collect();
    case.rule("outcomes", told == wanted, wanted.join(", "), told.join(", "))
}

/// What a call was for, in words.
fn step(id: u32) -> String {
    if id > INDEX {
        format!("the entry of part {} in the index", id - INDEX)
    } else {
        format!("the upload of part {id}")
    }
}

fn writes_meet(answer: Answer) -> Checked {
    Case::run("write three parts whose calls wait for each other", async |recorder: Recorder| {
        let backend = Backend::new(&recorder).meeting_of(3);
        drop((answer.write)(&backend, [1, 2, 3]).await);
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "3 calls in flight at once"))?;
    Ok(())
}

fn read_stops(answer: Answer, after: Duration) -> Checked {
    let name = format!("read three parts of 20 ms, dropped after {}", time(after));
    stops(name, async |backend| timeout(after, (answer.read)(backend, [1, 2, 3])).await.is_ok())
}

fn write_stops(answer: Answer, after: Duration) -> Checked {
    let name = format!("write three parts of 40 ms, dropped after {}", time(after));
    stops(name, async |backend| timeout(after, (answer.write)(backend, [1, 2, 3])).await.is_ok())
}

fn stops(name: String, dropped: impl AsyncFnOnce(&Backend) -> bool) -> Checked {
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = Backend::new(&recorder).latency(ms(20));
        let ended = dropped(&backend).await;
        let calls = backend.calls().len();
        tasks_left().await;
        let running = backend.in_flight();
        sleep(Duration::from_secs(5)).await;
        (ended, running, backend.calls().len() - calls)
    })?;
    let (ended, running, more) = case.value;
    case.rule("parts", !ended, "calls that take 20 ms each", "an end before they could have answered")?;
    nothing_runs_on(&case, "stops", running, more)
}

fn all_at_once<T>(case: &Case<T>, backend: &Backend, longest: Duration) -> Checked {
    case.rule(
        "concurrent",
        backend.peak() == 3 && case.elapsed == longest,
        format!("{}, as the slowest takes, with 3 in flight", time(longest)),
        format!("{}, with {} in flight at most", time(case.elapsed), backend.peak()),
    )
}

fn described(outcome: &Settled<(), FetchError>) -> String {
    match outcome {
        Settled::Ok(()) => String::from("ok"),
        Settled::Failed(error) => format!("error: {error}"),
        Settled::Panicked(panic) => format!("panic: {panic}"),
        Settled::Cancelled => String::from("cancelled"),
    }
}
