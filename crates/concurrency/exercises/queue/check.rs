//! What is verified on any answer to `queue`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, FetchError, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use concurrency::Settled;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, join},
    stream,
    stream::BoxStream,
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};
use testing::{
    Case, Checked,
    calls::{asked_for_each, limit_of, nothing_runs_on, seen_to_their_end},
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

type Report = Vec<(u32, Settled<Reply, FetchError>)>;
type Ids = BoxStream<'static, u32>;
type Answer<'a> =
    &'a dyn Fn(Backend, Ids, NonZeroUsize, NonZeroUsize, CancellationToken) -> BoxFuture<'static, Report>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(
    answer: impl Fn(Backend, Ids, NonZeroUsize, NonZeroUsize, CancellationToken) -> F,
) -> Verdict
where
    F: Future<Output = Report> + Send + 'static,
{
    let answer: Answer<'_> =
        &|backend, ids, workers, capacity, stop| answer(backend, ids, workers, capacity, stop).boxed();
    verdict(|| {
        for (ids, workers, capacity, pause, seed) in [
            (8, 2, 3, 0, 1),
            (6, 3, 1, 0, 2),
            (9, 3, 9, 0, 3),
            (12, 4, 2, 15, 4),
            (5, 1, 2, 0, 5),
            (9, 3, 2, 70, 6),
            (40, 8, 16, 0, 7),
        ] {
            works_off(answer, ids, workers, capacity, ms(pause), seed)?;
        }
        meets(answer)?;
        asks_for_each_duplicate(answer)?;
        tells_how_each_ended(answer)?;
        survives_many_panics(answer)?;
        takes_nothing(answer)?;
        for (workers, capacity) in [(1, 1), (2, 3), (4, 2)] {
            for after in [0, 5, 15, 25, 45, 75] {
                shuts_down(answer, workers, capacity, ms(after), ms(0))?;
                shuts_down(answer, workers, capacity, ms(after), ms(8))?;
            }
        }
        // Ids come every 20 ms, and `stop` in such a moment. One tie is a coin that some answers toss; all of them are not.
        for (workers, capacity) in [(1, 1), (2, 3), (4, 2)] {
            for after in (20..=200).step_by(20) {
                shuts_down(answer, workers, capacity, ms(after), ms(20))?;
            }
        }
        for after in [5, 65, 400] {
            does_not_wait_for_the_source(answer, ms(after))?;
        }
        for after in [5, 25, 45] {
            for source in [Source::Ready, Source::Slow, Source::Silent] {
                stops(answer, ms(after), source)?;
            }
        }
        Ok(())
    })
}

/// What was taken from a source, and when.
type Taken = Arc<Mutex<Vec<(u32, Duration)>>>;

/// Gives each id after a pause.
fn source(
    recorder: &Recorder,
    ids: impl IntoIterator<Item = u32, IntoIter: Send + 'static>,
    pause: Duration,
) -> (Ids, Taken) {
    let taken = Taken::default();
    let (recorder, log) = (recorder.clone(), taken.clone());
    let ids = stream::iter(ids).then(move |id| async move {
        if pause > Duration::ZERO {
            sleep(pause).await;
        }
        id
    });
    let ids = ids.inspect(move |id| {
        log.lock().expect("nobody panics with it").push((*id, recorder.now()));
    });
    (ids.boxed(), taken)
}

fn read(taken: &Taken) -> Vec<(u32, Duration)> {
    taken.lock().expect("nobody panics with it").clone()
}

/// What was going on at one moment, after everything of that moment had happened.
struct Moment {
    at: Duration,
    in_flight: usize,
    taken: usize,
    ended: usize,
}

impl Moment {
    /// Taken, and not ended.
    fn inside(&self) -> usize {
        self.taken.saturating_sub(self.ended)
    }

    fn told(&self) -> String {
        format!("{} in flight of {} that have not ended, at {}", self.in_flight, self.inside(), time(self.at))
    }
}

fn moments(calls: &[Call], taken: &[(u32, Duration)]) -> Vec<Moment> {
    let end = |call: &Call| call.ended.map_or(Duration::MAX, |(at, _)| at);
    let mut all: Vec<Duration> = calls.iter().flat_map(|call| [call.started, end(call)]).collect();
    all.extend(taken.iter().map(|(_, at)| *at));
    all.sort_unstable();
    all.dedup();
    all.retain(|at| *at < Duration::MAX);
    let moment = |at| Moment {
        at,
        in_flight: calls.iter().filter(|call| call.started <= at && at < end(call)).count(),
        taken: taken.iter().filter(|(_, when)| *when <= at).count(),
        ended: calls.iter().filter(|call| end(call) <= at).count(),
    };
    all.into_iter().map(moment).collect()
}

/// The rules that hold in every run.
fn holds<T>(
    case: &Case<T>,
    backend: &Backend,
    taken: &[(u32, Duration)],
    workers: usize,
    capacity: usize,
) -> Checked {
    let most = capacity + workers + 1;
    let moments = moments(&backend.calls(), taken);
    case.rule(
        "bounded",
        backend.peak() <= workers,
        format!("at most {workers} calls in flight"),
        format!("{} calls in flight at once", backend.peak()),
    )?;
    let too_many = moments.iter().find(|moment| moment.inside() > most);
    case.rule(
        "bounded",
        too_many.is_none(),
        format!("at most {most} ids taken that have not ended: {capacity} wait, {workers} are fetched, one in hand"),
        too_many.map(Moment::told).unwrap_or_default(),
    )?;
    case.rule(
        "bounded",
        // A task for each worker and one for its call, and a few that feed and look after them, are no crowd.
        backend.peak_tasks() <= 2 * workers + 4,
        format!("about as many tasks as workers, {workers}"),
        format!("{} tasks alive at once", backend.peak_tasks()),
    )?;
    let idle = moments.iter().find(|moment| moment.in_flight < workers.min(moment.inside()));
    case.rule(
        "concurrent",
        idle.is_none(),
        idle.map(|moment| format!("{} in flight", workers.min(moment.inside()))).unwrap_or_default(),
        idle.map(Moment::told).unwrap_or_default(),
    )
}

fn every_id<T>(case: &Case<T>, rule: &str, taken: &[(u32, Duration)], calls: &[Call]) -> Checked {
    let ids: Vec<u32> = taken.iter().map(|(id, _)| *id).collect();
    // First what was dropped: an id that was taken and then dropped says less, and is often the consequence.
    seen_to_their_end(case, rule, calls)?;
    asked_for_each(case, rule, &ids, calls)
}

fn in_order<T>(case: &Case<T>, taken: &[(u32, Duration)], report: &Report) -> Checked {
    let wanted: Vec<u32> = taken.iter().map(|(id, _)| *id).collect();
    let told: Vec<u32> = report.iter().map(|(id, _)| *id).collect();
    let rule = if told.len() == wanted.len() { "order" } else { "every-id" };
    case.rule(rule, told == wanted, format!("a report of {wanted:?}"), format!("{told:?}"))?;
    let stray = report.iter().find(|(id, outcome)| matches!(outcome, Settled::Ok(reply) if reply.id != *id));
    case.rule(
        "order",
        stray.is_none(),
        "each id with its own reply",
        stray.map(|(id, outcome)| format!("{id} with {}", described(outcome))).unwrap_or_default(),
    )
}

fn works_off(
    answer: Answer<'_>,
    count: u32,
    workers: usize,
    capacity: usize,
    pause: Duration,
    seed: u64,
) -> Checked {
    // Ids that are not their positions, so that sorting by id is not the order of the source.
    let ids = shuffled(seed, count);
    let drawn = latencies(seed, ids.len());
    let speed = if pause.is_zero() { String::from("at once") } else { format!("every {}", time(pause)) };
    let name = format!("{count} ids, which come {speed}; {}, capacity {capacity}", crew(workers));
    let case = Case::run(name, async |recorder| {
        let mut backend = Backend::new(&recorder);
        for (id, latency) in ids.iter().zip(&drawn) {
            backend = backend.on(*id, *latency, Outcome::Reply);
        }
        let (source, taken) = source(&recorder, ids.clone(), pause);
        let report =
            answer(backend.clone(), source, limit_of(workers), limit_of(capacity), CancellationToken::new())
                .await;
        (report, backend, read(&taken))
    })?;
    let (report, backend, taken) = &case.value;
    let calls = backend.calls();
    holds(&case, backend, taken, workers, capacity)?;
    case.rule(
        "every-id",
        taken.len() == ids.len(),
        format!("{count} ids taken, and then the end"),
        format!("{} ids taken", taken.len()),
    )?;
    every_id(&case, "every-id", taken, &calls)?;
    if pause.is_zero() {
        let moments = moments(&calls, taken);
        let wanted = |moment: &Moment| (capacity + workers).min(ids.len() - moment.ended);
        let behind = moments.iter().find(|moment| moment.inside() < wanted(moment));
        case.rule(
            "ahead",
            behind.is_none(),
            behind
                .map(|moment| format!("{} ids taken that have not ended", wanted(moment)))
                .unwrap_or_default(),
            behind.map(|moment| format!("{} at {}", moment.inside(), time(moment.at))).unwrap_or_default(),
        )?;
    }
    in_order(&case, taken, report)?;
    let failed = report.iter().find(|(_, outcome)| !outcome.is_ok());
    case.rule(
        "outcomes",
        failed.is_none(),
        "a reply for each",
        failed.map(|(id, outcome)| format!("{id}: {}", described(outcome))).unwrap_or_default(),
    )?;
    ends_with_the_last_call(&case, "ends", &calls, Duration::ZERO)
}

/// It returns with the last call, or when it is stopped, if that is later.
fn ends_with_the_last_call<T>(case: &Case<T>, rule: &str, calls: &[Call], stopped: Duration) -> Checked {
    let due =
        calls.iter().filter_map(|call| call.ended).map(|(at, _)| at).max().unwrap_or_default().max(stopped);
    case.rule(
        rule,
        case.elapsed <= due,
        format!("an end at {}, with the last call", time(due)),
        format!("an end at {}", time(case.elapsed)),
    )
}

/// The lower bound, proved by calls that wait for each other.
fn meets(answer: Answer<'_>) -> Checked {
    Case::run("6 calls that wait until 3 are in flight, 3 workers, capacity 2", async |recorder| {
        let backend = Backend::new(&recorder).meeting_of(3);
        let (source, _) = source(&recorder, 1..=6, Duration::ZERO);
        answer(backend, source, limit_of(3), limit_of(2), CancellationToken::new()).await;
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "3 calls in flight at once"))?;
    Ok(())
}

fn asks_for_each_duplicate(answer: Answer<'_>) -> Checked {
    let case = Case::run("ids 7, 3, 7, 7, 3; 2 workers, capacity 2", async |recorder| {
        let backend = Backend::new(&recorder).on(7, ms(30), Outcome::Reply);
        let (source, taken) = source(&recorder, [7, 3, 7, 7, 3], Duration::ZERO);
        let report =
            answer(backend.clone(), source, limit_of(2), limit_of(2), CancellationToken::new()).await;
        (report, backend, read(&taken))
    })?;
    let (report, backend, taken) = &case.value;
    every_id(&case, "every-id", taken, &backend.calls())?;
    in_order(&case, taken, report)
}

fn tells_how_each_ended(answer: Answer<'_>) -> Checked {
    let all_fine = "the panic and the errors stay with their ids";
    let case = Case::run("id 2 fails, 3 panics, 4 times out; 2 workers, capacity 2", async |recorder| {
        let backend = Backend::new(&recorder)
            .on(1, ms(60), Outcome::Reply)
            .on(2, ms(10), Outcome::Fail)
            .on(3, ms(20), Outcome::Panic)
            .on(4, ms(20), Outcome::TimeOut);
        let (source, taken) = source(&recorder, 1..=5, Duration::ZERO);
        let report =
            answer(backend.clone(), source, limit_of(2), limit_of(2), CancellationToken::new()).await;
        (report, backend, read(&taken))
    })
    .map_err(breaks(Kind::Panic, "outcomes", all_fine))
    .map_err(breaks(Kind::Deadlock, "outcomes", all_fine))?;
    let (report, backend, taken) = &case.value;
    let told: Vec<String> =
        report.iter().map(|(id, outcome)| format!("{id}: {}", described(outcome))).collect();
    let wanted = [
        "1: reply \"item 1\"",
        "2: error item 2 is unavailable",
        "3: panic item 3 is cursed",
        "4: error the backend timed out on item 4",
        "5: reply \"item 5\"",
    ];
    case.rule("outcomes", told == wanted, wanted.join(", "), told.join(", "))?;
    every_id(&case, "every-id", taken, &backend.calls())
}

/// More panics than workers: each has to leave a worker behind.
fn survives_many_panics(answer: Answer<'_>) -> Checked {
    let all_fine = "a panic leaves as many workers: the ids after it are fetched, too";
    let case =
        Case::run("10 ids, of which 1, 3, 5, 6 panic and 2 fails; 3 workers, capacity 2", async |recorder| {
            let mut backend = Backend::new(&recorder).on(2, ms(10), Outcome::Fail);
            for id in [1, 3, 5, 6] {
                backend = backend.on(id, ms(10), Outcome::Panic);
            }
            let (source, taken) = source(&recorder, 1..=10, Duration::ZERO);
            let report =
                answer(backend.clone(), source, limit_of(3), limit_of(2), CancellationToken::new()).await;
            (report, backend, read(&taken))
        })
        .map_err(breaks(Kind::Deadlock, "outcomes", all_fine))
        .map_err(breaks(Kind::Panic, "outcomes", all_fine))?;
    let (report, backend, taken) = &case.value;
    let letters = |report: &Report| {
        report.iter().map(|(_, outcome)| described(outcome)[..1].to_owned()).collect::<Vec<_>>().join(" ")
    };
    case.rule(
        "outcomes",
        letters(report) == "p e p r p p r r r r",
        "p e p r p p r r r r (p: panic, e: error, r: reply)",
        letters(report),
    )?;
    holds(&case, backend, taken, 3, 2)?;
    every_id(&case, "every-id", taken, &backend.calls())
}

fn takes_nothing(answer: Answer<'_>) -> Checked {
    let case = Case::run("no ids; 3 workers, capacity 2", async |recorder| {
        let (source, _) = source(&recorder, [], Duration::ZERO);
        answer(Backend::new(&recorder), source, limit_of(3), limit_of(2), CancellationToken::new())
            .await
            .len()
    })?;
    case.rule("every-id", case.value == 0, "an empty report", format!("{} outcomes", case.value))
}

/// Stopped while the source has ids without end.
fn shuts_down(
    answer: Answer<'_>,
    workers: usize,
    capacity: usize,
    after: Duration,
    pause: Duration,
) -> Checked {
    let speed = if pause.is_zero() { String::from("always ready") } else { format!("every {}", time(pause)) };
    let when =
        if after.is_zero() { String::from("before it begins") } else { format!("after {}", time(after)) };
    let name = format!(
        "ids without end, {speed}; {}, capacity {capacity}; `stop` is cancelled {when}",
        crew(workers)
    );
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = Backend::new(&recorder).on(2, ms(40), Outcome::Reply).on(3, ms(20), Outcome::Fail);
        let (source, taken) = source(&recorder, 1..10_000, pause);
        let stop = CancellationToken::new();
        let queue = answer(backend.clone(), source, limit_of(workers), limit_of(capacity), stop.clone());
        let cancel = async {
            if !after.is_zero() {
                sleep(after).await;
            }
            stop.cancel();
            read(&taken).len()
        };
        // Polled in this order: in the moment of `stop` the token is cancelled before the queue looks at it.
        let (before, report) = join(cancel, queue).await;
        (report, backend, read(&taken), before)
    })
    .map_err(breaks(Kind::Hang, "shutdown", "an end, when what was taken has been fetched"))
    .map_err(breaks(Kind::Deadlock, "shutdown", "an end, when what was taken has been fetched"))?;
    let (report, backend, taken, before) = &case.value;
    let calls = backend.calls();
    case.rule(
        "shutdown",
        taken.len() == *before,
        format!("{before} ids taken, and none after {}", time(after)),
        format!("{} more", taken.len() - before),
    )?;
    every_id(&case, "shutdown", taken, &calls)?;
    case.rule(
        "shutdown",
        report.len() == taken.len(),
        format!("a report of {} ids", taken.len()),
        format!("of {}", report.len()),
    )?;
    in_order(&case, taken, report)?;
    holds(&case, backend, taken, workers, capacity)?;
    ends_with_the_last_call(&case, "shutdown", &calls, after)
}

/// Stopped while the source gives nothing.
fn does_not_wait_for_the_source(answer: Answer<'_>, after: Duration) -> Checked {
    let name = format!(
        "4 ids, and then a source that gives nothing and does not end; 2 workers, capacity 5; `stop` after {}",
        time(after)
    );
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = Backend::new(&recorder).latency(ms(20));
        let (source, taken) = source(&recorder, 1..=4, Duration::ZERO);
        let source = source.chain(stream::pending()).boxed();
        let stop = CancellationToken::new();
        let queue = answer(backend.clone(), source, limit_of(2), limit_of(5), stop.clone());
        let cancel = async {
            sleep(after).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(queue, cancel);
        (report, backend, read(&taken))
    })
    .map_err(breaks(Kind::Deadlock, "shutdown", "an end, although the source has none"))?;
    let (report, backend, taken) = &case.value;
    every_id(&case, "shutdown", taken, &backend.calls())?;
    in_order(&case, taken, report)?;
    ends_with_the_last_call(&case, "shutdown", &backend.calls(), after)
}

/// What the source does while the future is dropped.
#[derive(Clone, Copy)]
enum Source {
    Ready,
    Slow,
    Silent,
}

fn stops(answer: Answer<'_>, after: Duration, kind: Source) -> Checked {
    let (ids, pause, told) = match kind {
        Source::Ready => (20, ms(0), "20 ids at once"),
        Source::Slow => (20, ms(30), "20 ids, which come every 30 ms"),
        Source::Silent => (2, ms(0), "2 ids, and then a source that gives nothing and does not end"),
    };
    let name = format!("{told}; 3 workers, capacity 2, dropped after {}", time(after));
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = Backend::new(&recorder).latency(ms(20));
        let (mut source, taken) = source(&recorder, 1..=ids, pause);
        if matches!(kind, Source::Silent) {
            source = source.chain(stream::pending()).boxed();
        }
        let queue = answer(backend.clone(), source, limit_of(3), limit_of(2), CancellationToken::new());
        drop(timeout(after, queue).await);
        let (calls, before) = (backend.calls().len(), read(&taken).len());
        // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
        tasks_left().await;
        let running = backend.in_flight();
        // The source holds the other half of its log as long as it is there.
        let held = Arc::strong_count(&taken) > 1;
        // What runs on in spite of it is seen, and told by this rule rather than as a leak.
        sleep(Duration::from_secs(5)).await;
        (running, backend.calls().len() - calls, read(&taken).len() - before, held)
    })
    .map_err(breaks(Kind::Leak, "stops", "nobody waits for the source after the drop"))?;
    let (running, more, taken, held) = case.value;
    nothing_runs_on(&case, "stops", running, more)?;
    case.rule("stops", taken == 0, "no id taken after the drop", format!("{taken} ids taken after it"))?;
    case.rule("stops", !held, "the source is dropped, too", "somebody still holds it after the drop")
}

fn described(outcome: &Settled<Reply, FetchError>) -> String {
    match outcome {
        Settled::Ok(reply) => format!("reply {:?}", reply.body),
        Settled::Failed(error) => format!("error {error}"),
        Settled::Panicked(panic) => format!("panic {panic}"),
        Settled::Cancelled => String::from("cancelled"),
    }
}

fn crew(workers: usize) -> String {
    if workers == 1 { String::from("1 worker") } else { format!("{workers} workers") }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
