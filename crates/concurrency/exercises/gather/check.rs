//! What is verified on any answer to `gather`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, FetchError, Gap, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use concurrency::Settled;
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{num::NonZeroUsize, time::Duration};
use testing::{
    Case, Checked,
    calls::{asked_for_each, limit_of, nothing_runs_on, seen_to_their_end},
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};

type Outcomes = Vec<Settled<Reply, FetchError>>;
type Answer<'a> = &'a dyn Fn(Backend, Vec<u32>, NonZeroUsize) -> BoxFuture<'static, Outcomes>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Vec<u32>, NonZeroUsize) -> F) -> Verdict
where
    F: Future<Output = Outcomes> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, ids, limit| answer(backend, ids, limit).boxed();
    verdict(|| {
        for (ids, limit, seed) in
            [(6, 3, 1), (5, 2, 2), (9, 4, 3), (4, 9, 4), (3, 1, 5), (20, 8, 6), (40, 3, 7)]
        {
            answers_in_order(answer, ids, limit, seed)?;
        }
        meets(answer)?;
        asks_for_each_duplicate(answer)?;
        tells_how_each_ended(answer)?;
        survives_many_panics(answer)?;
        takes_nothing(answer)?;
        for after in [5, 25, 45] {
            stops(answer, Duration::from_millis(after))?;
        }
        Ok(())
    })
}

fn answers_in_order(answer: Answer<'_>, count: u32, limit: usize, seed: u64) -> Checked {
    // Ids that are not their positions, so that sorting by id is not the order of the input.
    let ids = shuffled(seed, count);
    let drawn = latencies(seed, ids.len());
    let case = Case::run(format!("{count} ids, limit {limit}"), async |recorder| {
        let mut backend = Backend::new(&recorder);
        for (id, latency) in ids.iter().zip(&drawn) {
            backend = backend.on(*id, *latency, Outcome::Reply);
        }
        let outcomes = answer(backend.clone(), ids.clone(), limit_of(limit)).await;
        (outcomes, backend)
    })?;
    let (outcomes, backend) = &case.value;
    every_id(&case, &ids, outcomes, &backend.calls())?;
    case.rule(
        "bounded",
        backend.peak() <= limit,
        format!("at most {limit} calls in flight"),
        format!("{} calls in flight at once", backend.peak()),
    )?;
    case.rule(
        "bounded",
        // A task for the call, one for who looks after it, and two that drive and feed them are no crowd.
        backend.peak_tasks() <= 2 * limit + 2,
        format!("about as many tasks as calls in flight, {limit}"),
        format!("{} tasks alive at once for {count} ids", backend.peak_tasks()),
    )?;
    fills_every_place(&case, backend, limit)?;
    let order: Vec<Option<u32>> = outcomes.iter().map(replied).collect();
    let wanted: Vec<Option<u32>> = ids.iter().copied().map(Some).collect();
    case.rule("order", order == wanted, format!("{ids:?}"), listed(&order))
}

/// The lower bound, proved by calls that wait for each other.
fn meets(answer: Answer<'_>) -> Checked {
    Case::run("6 calls that wait until 3 are in flight, limit 3", async |recorder| {
        let backend = Backend::new(&recorder).meeting_of(3);
        answer(backend, (1..=6).collect(), limit_of(3)).await;
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "3 calls in flight at once"))?;
    Ok(())
}

fn asks_for_each_duplicate(answer: Answer<'_>) -> Checked {
    let ids = [7, 3, 7, 7, 3];
    let case = Case::run("ids 7, 3, 7, 7, 3, limit 2", async |recorder| {
        let backend = Backend::new(&recorder).on(7, Duration::from_millis(30), Outcome::Reply);
        let outcomes = answer(backend.clone(), ids.to_vec(), limit_of(2)).await;
        (outcomes, backend.calls())
    })?;
    every_id(&case, &ids, &case.value.0, &case.value.1)?;
    let order: Vec<Option<u32>> = case.value.0.iter().map(replied).collect();
    case.rule("order", order == ids.map(Some), format!("{ids:?}"), listed(&order))
}

fn tells_how_each_ended(answer: Answer<'_>) -> Checked {
    let all_fine = "the panic and the errors stay with their items";
    let ids = [1, 2, 3, 4, 5];
    let case = Case::run("id 2 fails, 3 panics, 4 times out, limit 3", async |recorder| {
        let backend = Backend::new(&recorder)
            .on(1, Duration::from_millis(60), Outcome::Reply)
            .on(2, Duration::from_millis(10), Outcome::Fail)
            .on(3, Duration::from_millis(20), Outcome::Panic)
            .on(4, Duration::from_millis(20), Outcome::TimeOut);
        let outcomes = answer(backend.clone(), ids.to_vec(), limit_of(3)).await;
        (outcomes, backend.calls())
    })
    .map_err(breaks(Kind::Panic, "outcomes", all_fine))?;
    every_id(&case, &ids, &case.value.0, &case.value.1)?;
    let told: Vec<String> = case.value.0.iter().map(described).collect();
    let wanted = [
        "reply 1 with \"item 1\"",
        "error: item 2 is unavailable",
        "panic: item 3 is cursed",
        "error: the backend timed out on item 4",
        "reply 5 with \"item 5\"",
    ];
    case.rule("outcomes", told == wanted, wanted.join(", "), told.join(", "))
}

/// More panics than places: each has to give its place back.
fn survives_many_panics(answer: Answer<'_>) -> Checked {
    let all_fine = "a panic gives its place back: the ids after it are asked for, too";
    let ids: Vec<u32> = (1..=10).collect();
    let case = Case::run("10 ids, of which 1, 3, 5, 6 panic and 2 fails, limit 3", async |recorder| {
        let mut backend = Backend::new(&recorder).on(2, Duration::from_millis(10), Outcome::Fail);
        for id in [1, 3, 5, 6] {
            backend = backend.on(id, Duration::from_millis(10), Outcome::Panic);
        }
        let outcomes = answer(backend.clone(), ids.clone(), limit_of(3)).await;
        (outcomes, backend)
    })
    .map_err(breaks(Kind::Deadlock, "outcomes", all_fine))
    .map_err(breaks(Kind::Panic, "outcomes", all_fine))?;
    let (outcomes, backend) = &case.value;
    let told: String =
        outcomes.iter().map(|outcome| described(outcome).chars().next().unwrap_or('?')).collect();
    case.rule(
        "outcomes",
        told == "peprpprrrr",
        "p e p r p p r r r r (p: panic, e: error, r: reply)",
        told.chars().map(String::from).collect::<Vec<_>>().join(" "),
    )?;
    every_id(&case, &ids, outcomes, &backend.calls())?;
    fills_every_place(&case, backend, 3)
}

fn takes_nothing(answer: Answer<'_>) -> Checked {
    let case = Case::run("no ids, limit 3", async |recorder| {
        answer(Backend::new(&recorder), Vec::new(), limit_of(3)).await.len()
    })?;
    case.rule("every-id", case.value == 0, "no outcome", format!("{} outcomes", case.value))
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let case =
        Case::run(format!("12 ids, limit 3, dropped after {}", time(after)), async |recorder: Recorder| {
            let backend = Backend::new(&recorder).latency(Duration::from_millis(20));
            let ended =
                timeout(after, answer(backend.clone(), (1..=12).collect(), limit_of(3))).await.is_ok();
            let calls = backend.calls().len();
            // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
            tasks_left().await;
            let running = backend.in_flight();
            // What runs on in spite of it is seen, and told by this rule rather than as a leak.
            sleep(Duration::from_secs(5)).await;
            (ended, running, backend.calls().len() - calls)
        })?;
    let (ended, running, more) = case.value;
    case.rule(
        "concurrent",
        !ended,
        "80 ms for 12 calls of 20 ms, 3 at a time",
        format!("an end within {}, without the calls", time(after)),
    )?;
    nothing_runs_on(&case, "stops", running, more)
}

fn fills_every_place<T>(case: &Case<T>, backend: &Backend, limit: usize) -> Checked {
    let gap = backend.first_gap(limit);
    case.rule(
        "concurrent",
        gap.is_none(),
        format!("{limit} in flight as long as there is work"),
        gap.map(|Gap { at, in_flight, to_come }| {
            let (at, all) = (time(at), time(case.elapsed));
            format!("{in_flight} in flight at {at}, and {to_come} still to ask; {all} in all")
        })
        .unwrap_or_default(),
    )
}

fn every_id<T>(case: &Case<T>, ids: &[u32], outcomes: &Outcomes, calls: &[Call]) -> Checked {
    case.rule(
        "every-id",
        outcomes.len() == ids.len(),
        format!("an outcome for each of {} ids", ids.len()),
        format!("{} of {} outcomes", outcomes.len(), ids.len()),
    )?;
    asked_for_each(case, "every-id", ids, calls)?;
    seen_to_their_end(case, "every-id", calls)
}

fn replied(outcome: &Settled<Reply, FetchError>) -> Option<u32> {
    match outcome {
        Settled::Ok(reply) => Some(reply.id),
        _ => None,
    }
}

fn described(outcome: &Settled<Reply, FetchError>) -> String {
    match outcome {
        Settled::Ok(reply) => format!("reply {} with {:?}", reply.id, reply.body),
        Settled::Failed(error) => format!("error: {error}"),
        Settled::Panicked(panic) => format!("panic: {panic}"),
        Settled::Cancelled => String::from("cancelled"),
    }
}

fn listed(ids: &[Option<u32>]) -> String {
    let words: Vec<String> = ids.iter().map(|id| id.map_or("-".into(), |id| id.to_string())).collect();
    format!("[{}]", words.join(", "))
}
