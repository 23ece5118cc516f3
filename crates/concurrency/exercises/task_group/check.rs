//! What is verified on any answer to `task_group`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, CallEnd, FetchError, Gap, Outcome, Reply},
    draw::time,
    recorder::panic_message,
    verdict::Kind,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{panic::AssertUnwindSafe, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

type Replies = Result<Vec<Reply>, Vec<FetchError>>;
type Answer<'a> = &'a dyn Fn(Backend, Vec<u32>) -> BoxFuture<'static, Replies>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Vec<u32>) -> F) -> Verdict
where
    F: Future<Output = Replies> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, ids| answer(backend, ids).boxed();
    verdict(|| {
        for (count, seed) in [(4, 1), (3, 2), (9, 3), (1, 4), (40, 5)] {
            gives_all_in_order(answer, &shuffled(seed, count), seed)?;
        }
        gives_all_in_order(answer, &[7, 3, 7, 7, 3], 6)?;
        gives_all_in_order(answer, &[], 7)?;
        meets(answer)?;
        for (count, failing, seed) in
            [(4, 3, 1), (4, 0, 2), (3, 1, 3), (9, 7, 4), (1, 0, 5), (40, 39, 6), (100, 12, 7), (600, 12, 8)]
        {
            ends_with_the_first_failure(answer, count, failing, seed)?;
        }
        ends_with_one_that_never_answers(answer)?;
        for (ids, failing) in
            [(&[1, 2, 3, 4][..], &[2, 4][..]), (&[5, 9, 2, 8, 1, 7], &[9, 8, 7]), (&[7, 3, 7, 1], &[7])]
        {
            keeps_every_error(answer, ids, failing)?;
        }
        for (count, panicking, seed) in [(5, 4, 8), (3, 0, 9), (9, 5, 10)] {
            resumes_the_panic(answer, count, panicking, seed)?;
        }
        for (failing, panicking) in [(2, 3), (3, 2), (1, 4), (4, 1)] {
            prefers_the_panic(answer, failing, panicking)?;
        }
        for after in [5, 15] {
            stops(answer, Duration::from_millis(after))?;
        }
        Ok(())
    })
}

/// What the caller finds in the moment in which it goes on.
struct Seen {
    ended: std::thread::Result<Replies>,
    at: Duration,
    in_flight: usize,
    tasks: usize,
    calls: Vec<Call>,
    /// The most in flight, and the first moment with fewer than all of them.
    peak: usize,
    gap: Option<Gap>,
}

fn run(
    name: String,
    answer: Answer<'_>,
    ids: &[u32],
    script: impl FnOnce(Backend) -> Backend,
) -> Checked<Case<Seen>> {
    Case::run(name, async |recorder: Recorder| {
        let backend = script(Backend::new(&recorder));
        // A lane for the answer, so that the picture shows when the caller goes on.
        let answer = recorder.lane("task_group", answer(backend.clone(), ids.to_vec()));
        let ended = AssertUnwindSafe(answer).catch_unwind().await;
        // No await before these: what counts is what is alive now.
        let seen = Seen {
            at: recorder.now(),
            in_flight: backend.in_flight(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            calls: backend.calls(),
            peak: backend.peak(),
            gap: backend.first_gap(ids.len()),
            ended,
        };
        // What runs on in spite of it is seen, and told by its rule rather than as a leak.
        sleep(Duration::from_secs(5)).await;
        seen
    })
}

/// For cases without a scripted panic: one of the answer's own is none of the exercise's rules.
fn run_calmly(
    name: String,
    answer: Answer<'_>,
    ids: &[u32],
    script: impl FnOnce(Backend) -> Backend,
) -> Checked<(Case<Seen>, Replies)> {
    let mut case = run(name, answer, ids, script)?;
    match std::mem::replace(&mut case.value.ended, Ok(Ok(Vec::new()))) {
        Ok(replies) => Ok((case, replies)),
        Err(payload) => Err(case.panic(panic_message(&*payload))),
    }
}

fn gives_all_in_order(answer: Answer<'_>, ids: &[u32], seed: u64) -> Checked {
    let drawn = latencies(seed, ids.len());
    let (case, replies) = run_calmly(given(ids), answer, ids, |mut backend| {
        for (id, latency) in ids.iter().zip(&drawn) {
            backend = backend.on(*id, *latency, Outcome::Reply);
        }
        backend
    })?;
    let seen = &case.value;
    case.rule(
        "concurrent",
        seen.gap.is_none() && seen.peak == seen.calls.len(),
        format!("all {} calls in flight at once", ids.len()),
        match seen.gap {
            Some(Gap { at, in_flight, to_come }) => format!(
                "{in_flight} in flight at {}, and {to_come} still to ask; {} in all",
                time(at),
                time(seen.at)
            ),
            None => format!("at most {} in flight; {} in all", seen.peak, time(seen.at)),
        },
    )?;
    let mut asked: Vec<u32> = seen.calls.iter().map(|call| call.id).collect();
    let mut wanted = ids.to_vec();
    asked.sort_unstable();
    wanted.sort_unstable();
    case.rule("order", asked == wanted, format!("calls for {wanted:?}"), format!("calls for {asked:?}"))?;
    waits(&case)?;
    let told = told(&replies);
    let right = replies.is_ok_and(|replies| {
        replies.len() == ids.len()
            && replies
                .iter()
                .zip(ids)
                .all(|(reply, id)| reply.id == *id && reply.body == format!("item {id}"))
    });
    case.rule("order", right, format!("replies to {ids:?}"), told)
}

/// The lower bound, proved by calls that wait for each other.
fn meets(answer: Answer<'_>) -> Checked {
    Case::run("5 calls that wait until all are in flight", async |recorder: Recorder| {
        let backend = Backend::new(&recorder).meeting_of(5);
        drop(answer(backend, (1..=5).collect()).await);
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "5 calls in flight at once"))?;
    Ok(())
}

/// One call fails while slower ones are in flight and quicker ones have answered.
fn ends_with_the_first_failure(answer: Answer<'_>, count: u32, failing: usize, seed: u64) -> Checked {
    let ids = shuffled(seed, count);
    let mut drawn = latencies(seed, ids.len());
    // The one that fails is the second to end, wherever it stands among the ids.
    let when = Duration::from_millis(if count > 1 { 20 } else { 10 });
    if let Some(second) = drawn.iter().position(|latency| *latency == when) {
        drawn.swap(second, failing);
    }
    let id = ids[failing];
    let name = format!("{}: id {id}, number {}, fails after {}", given(&ids), failing + 1, time(when));
    let (case, replies) = run_calmly(name, answer, &ids, |mut backend| {
        for (id, latency) in ids.iter().zip(&drawn) {
            backend = backend.on(*id, *latency, Outcome::Reply);
        }
        backend.on(id, when, Outcome::TimeOut)
    })?;
    let Seen { peak, .. } = case.value;
    case.rule(
        "concurrent",
        peak == ids.len(),
        format!("all {count} calls in flight at once"),
        format!("at most {peak} in flight"),
    )?;
    fails_fast(&case, when)?;
    waits(&case)?;
    every_error(&case, &replies, |id| FetchError::TimedOut { id })
}

/// Whoever awaits calls in their order never gets past the first.
fn ends_with_one_that_never_answers(answer: Answer<'_>) -> Checked {
    let name = String::from("3 ids: the first never answers, the last fails after 20 ms");
    let when = Duration::from_millis(20);
    let (case, replies) = run_calmly(name, answer, &[1, 2, 3], |backend| {
        backend.on(1, Duration::ZERO, Outcome::Hang).on(3, when, Outcome::Fail)
    })
    .map_err(breaks(Kind::Deadlock, "fail-fast", "an end at 20 ms, with the failure"))?;
    fails_fast(&case, when)?;
    waits(&case)?;
    every_error(&case, &replies, |id| FetchError::Unavailable { id })
}

fn keeps_every_error(answer: Answer<'_>, ids: &[u32], failing: &[u32]) -> Checked {
    let when = Duration::from_millis(20);
    let name = format!("ids {ids:?}: {failing:?} fail in the same moment, at 20 ms");
    let (case, replies) = run_calmly(name, answer, ids, |mut backend| {
        for id in failing {
            backend = backend.on(*id, when, Outcome::Fail);
        }
        backend.latency(Duration::from_millis(50))
    })?;
    fails_fast(&case, when)?;
    waits(&case)?;
    every_error(&case, &replies, |id| FetchError::Unavailable { id })
}

fn resumes_the_panic(answer: Answer<'_>, count: u32, panicking: usize, seed: u64) -> Checked {
    let ids = shuffled(seed, count);
    let (id, when) = (ids[panicking], Duration::from_millis(20));
    let message = format!("item {id} is cursed");
    let name = format!("{}: id {id}, number {}, panics after 20 ms", given(&ids), panicking + 1);
    let case = run(name, answer, &ids, |backend| {
        backend.latency(Duration::from_millis(50)).on(id, when, Outcome::Panic)
    })?;
    let (right, told) = match &case.value.ended {
        Ok(replies) => (false, format!("{}, and no panic", told(replies))),
        Err(payload) => {
            let said = panic_message(&**payload);
            (said == message, format!("a panic with {said:?}"))
        }
    };
    case.rule(
        "panic",
        right,
        format!("the panic of the call goes on in the caller, with {message:?}"),
        told,
    )?;
    case.rule(
        "panic",
        case.own_panic().is_none(),
        "the call's own panic, resumed: `resume_unwind(payload)`",
        format!("a new panic at {}", case.own_panic().unwrap_or_default()),
    )?;
    fails_fast(&case, when)?;
    waits(&case)
}

/// An error and a panic in one moment: who drops the call that would have panicked owes no panic.
fn prefers_the_panic(answer: Answer<'_>, failing: u32, panicking: u32) -> Checked {
    let when = Duration::from_millis(20);
    let name = format!("ids 1 to 4: {failing} fails and {panicking} panics in the same moment, at 20 ms");
    let case = run(name, answer, &[1, 2, 3, 4], |backend| {
        backend.latency(Duration::from_millis(50)).on(failing, when, Outcome::Fail).on(
            panicking,
            when,
            Outcome::Panic,
        )
    })?;
    let panicked = case.value.calls.iter().any(|call| matches!(call.ended, Some((_, CallEnd::Panicked))));
    let message = format!("item {panicking} is cursed");
    match &case.value.ended {
        Ok(replies) if panicked => case.rule(
            "panic",
            false,
            format!("the panic of the call goes on in the caller, with {message:?}"),
            format!("{}, and no panic", told(replies)),
        )?,
        Ok(replies) => every_error(&case, replies, |id| FetchError::Unavailable { id })?,
        Err(payload) => {
            let said = panic_message(&**payload);
            case.rule(
                "panic",
                said == message,
                format!("the panic of the call goes on in the caller, with {message:?}"),
                format!("a panic with {said:?}"),
            )?;
        }
    }
    fails_fast(&case, when)?;
    waits(&case)
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let case =
        Case::run(format!("6 ids of 20 ms, dropped after {}", time(after)), async |recorder: Recorder| {
            let backend = Backend::new(&recorder).latency(Duration::from_millis(20));
            let ended = timeout(after, answer(backend.clone(), (1..=6).collect())).await.is_ok();
            // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
            tasks_left().await;
            let running = backend.in_flight();
            sleep(Duration::from_secs(5)).await;
            (ended, running)
        })?;
    let (ended, running) = case.value;
    case.rule("concurrent", !ended, "20 ms", format!("an end within {}, without the calls", time(after)))?;
    case.rule(
        "stops",
        running == 0,
        "no call runs on after the drop",
        match running {
            1 => String::from("1 call ran on"),
            n => format!("{n} calls ran on"),
        },
    )
}

/// What an answer was given, in words.
fn given(ids: &[u32]) -> String {
    match ids.len() {
        0 => String::from("no ids"),
        1..10 => format!("ids {ids:?}"),
        n => format!("{n} ids"),
    }
}

fn fails_fast(case: &Case<Seen>, when: Duration) -> Checked {
    let at = case.value.at;
    case.rule(
        "fail-fast",
        at == when,
        format!("an end at {}, with the first failure", time(when)),
        format!("an end at {}", time(at)),
    )
}

fn waits(case: &Case<Seen>) -> Checked {
    let Seen { in_flight, tasks, .. } = case.value;
    case.rule(
        "waits",
        in_flight == 0 && tasks == 0,
        "nothing of the answer's at work: an aborted task has gone only when it has been awaited",
        format!("{in_flight} calls in flight and {tasks} tasks alive when the caller went on"),
    )
}

/// What a call returned is in the service's ledger, and nothing else is an error: so an answer that drops a call in the
/// moment in which it would have failed owes nothing.
fn every_error(case: &Case<Seen>, replies: &Replies, error: impl Fn(u32) -> FetchError) -> Checked {
    let failed = case.value.calls.iter().filter(|call| matches!(call.ended, Some((_, CallEnd::Failed))));
    let mut wanted: Vec<String> = failed.map(|call| error(call.id).to_string()).collect();
    wanted.sort_unstable();
    case.rule(
        "every-error",
        listed(replies).is_some_and(|errors| errors == wanted),
        format!("the errors that the calls returned, {wanted:?}"),
        told(replies),
    )
}

fn listed(replies: &Replies) -> Option<Vec<String>> {
    let mut errors: Vec<String> = replies.as_ref().err()?.iter().map(ToString::to_string).collect();
    errors.sort_unstable();
    Some(errors)
}

fn told(replies: &Replies) -> String {
    match replies {
        Ok(replies) => format!("replies to {:?}", replies.iter().map(|reply| reply.id).collect::<Vec<_>>()),
        Err(_) => format!("errors {:?}", listed(replies).unwrap_or_default()),
    }
}
