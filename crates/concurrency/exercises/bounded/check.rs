//! What is verified on any answer to `bounded`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, FetchError, Outcome, Reply},
    draw::time,
    verdict::Kind,
};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
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

type Item = Result<Reply, FetchError>;
type Ids = Box<dyn Iterator<Item = u32> + Send>;
type Answer<'a> = &'a dyn Fn(Backend, Ids, NonZeroUsize) -> BoxStream<'static, Item>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<S>(answer: impl Fn(Backend, Ids, NonZeroUsize) -> S) -> Verdict
where
    S: Stream<Item = Item> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, ids, limit| answer(backend, ids, limit).boxed();
    verdict(|| {
        begins_when_polled(answer)?;
        goes_on(answer)?;
        for (ids, limit, seed) in
            [(6, 3, 1), (5, 2, 2), (9, 4, 3), (4, 9, 4), (3, 1, 5), (30, 3, 6), (40, 12, 7)]
        {
            for pause in [0, 35, 120] {
                keeps_ahead(answer, ids, limit, Duration::from_millis(pause), seed)?;
            }
        }
        meets(answer)?;
        shares(answer)?;
        asks_for_each_duplicate(answer)?;
        passes_errors_on(answer)?;
        takes_nothing(answer)?;
        for reads in [0, 1, 4] {
            stops(answer, reads)?;
        }
        stays_lazy(answer)?;
        Ok(())
    })
}

/// When a reader got its items, and when it asked for them.
#[derive(Default)]
struct Reading {
    items: Vec<Item>,
    asked: Vec<Duration>,
    got: Vec<Duration>,
}

/// Reads a stream to its end, and works on each item for `pause`.
async fn read(mut replies: BoxStream<'static, Item>, pause: Duration, recorder: &Recorder) -> Reading {
    let mut reading = Reading::default();
    loop {
        reading.asked.push(recorder.now());
        let Some(item) = replies.next().await else { return reading };
        reading.got.push(recorder.now());
        reading.items.push(item);
        if pause > Duration::ZERO {
            sleep(pause).await;
        }
    }
}

/// What was out at one moment, after everything of that moment had happened.
struct Moment {
    at: Duration,
    in_flight: usize,
    unread: usize,
    to_come: usize,
    reader_works: bool,
}

impl Moment {
    fn out(&self) -> usize {
        self.in_flight + self.unread
    }

    fn told(&self) -> String {
        let Self { at, in_flight, unread, .. } = self;
        let reader = if self.reader_works { "works" } else { "waits" };
        format!("{in_flight} in flight and {unread} unread at {}, while the reader {reader}", time(*at))
    }
}

fn moments(calls: &[Call], reading: &Reading) -> Vec<Moment> {
    let ended = |call: &Call| call.ended.map_or(Duration::MAX, |(at, _)| at);
    let by = |moments: &[Duration], at| moments.iter().filter(|moment| **moment <= at).count();
    let mut all: Vec<Duration> = calls.iter().flat_map(|call| [call.started, ended(call)]).collect();
    all.extend(reading.asked.iter().chain(&reading.got));
    all.sort_unstable();
    all.dedup();
    let moment = |at| {
        let started = calls.iter().filter(|call| call.started <= at).count();
        let in_flight = calls.iter().filter(|call| call.started <= at && at < ended(call)).count();
        let read = by(&reading.got, at);
        Moment {
            at,
            in_flight,
            unread: started.saturating_sub(in_flight).saturating_sub(read),
            to_come: calls.len() - started,
            reader_works: by(&reading.asked, at) <= read,
        }
    };
    all.into_iter().map(moment).collect()
}

fn begins_when_polled(answer: Answer<'_>) -> Checked {
    let case = Case::run("20 ids, limit 3, a stream that nobody polls for 50 ms", async |recorder| {
        let backend = Backend::new(&recorder);
        let (ids, taken) = counted(0..20);
        let replies = answer(backend.clone(), ids, limit_of(3));
        sleep(Duration::from_millis(50)).await;
        let seen = (backend.calls().len(), taken.load(Relaxed));
        drop(replies);
        // What was started all the same is this rule's matter, and not a leak.
        sleep(Duration::from_secs(5)).await;
        seen
    })?;
    let (calls, taken) = case.value;
    case.rule(
        "lazy",
        calls == 0 && taken == 0,
        "no call made and no id taken",
        format!("{calls} calls made, {taken} ids taken"),
    )
}

/// All calls are in flight when the reader gets its first item: what happens to them while it works?
fn goes_on(answer: Answer<'_>) -> Checked {
    let (ids, drawn) = ([5, 4, 3, 2, 1], [20, 30, 40, 50, 60].map(Duration::from_millis));
    let case = Case::run("5 ids, limit 9, a reader that works 100 ms on each item", async |recorder| {
        let mut backend = Backend::new(&recorder);
        for (id, latency) in ids.into_iter().zip(drawn) {
            backend = backend.on(id, latency, Outcome::Reply);
        }
        let replies = answer(backend.clone(), Box::new(ids.into_iter()), limit_of(9));
        read(replies, Duration::from_millis(100), &recorder).await;
        backend.calls()
    })?;
    at_the_backends_pace(&case, &ids, &drawn, &case.value)
}

fn keeps_ahead(answer: Answer<'_>, count: u32, limit: usize, pause: Duration, seed: u64) -> Checked {
    // Ids that are not their positions, so that sorting by id is not the order of the input.
    let ids = shuffled(seed, count);
    let drawn = latencies(seed, ids.len());
    let name = format!("{count} ids, limit {limit}, a reader that works {} on each item", time(pause));
    let case = Case::run(name, async |recorder| {
        let mut backend = Backend::new(&recorder);
        for (id, latency) in ids.iter().zip(&drawn) {
            backend = backend.on(*id, *latency, Outcome::Reply);
        }
        let replies = answer(backend.clone(), Box::new(ids.clone().into_iter()), limit_of(limit));
        let reading = read(replies, pause, &recorder).await;
        (reading, backend)
    })?;
    let (reading, backend) = &case.value;
    let calls = backend.calls();
    let moments = moments(&calls, reading);
    let too_many = moments.iter().find(|moment| moment.out() > limit);
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
    case.rule(
        "bounded",
        too_many.is_none(),
        format!("at most {limit} in flight or unread"),
        too_many.map(Moment::told).unwrap_or_default(),
    )?;
    every_id(&case, &ids, &reading.items, &calls)?;
    at_the_backends_pace(&case, &ids, &drawn, &calls)?;
    // An answer that looks for room only when it is asked has the reader's item in that place while the reader works.
    let wanted = |moment: &Moment| if moment.reader_works { limit - 1 } else { limit };
    let gap = moments.iter().find(|moment| moment.to_come > 0 && moment.out() < wanted(moment));
    case.rule(
        "concurrent",
        gap.is_none(),
        format!("{} in flight or unread, as long as there are ids", gap.map_or(limit, wanted)),
        gap.map(|gap| format!("{}; {} ids to come", gap.told(), gap.to_come)).unwrap_or_default(),
    )?;
    in_order(&case, &ids, &reading.items)?;
    let ended = |id: u32| calls.iter().find(|call| call.id == id)?.ended.map(|(at, _)| at);
    let late = ids.iter().zip(reading.asked.iter().zip(&reading.got)).find_map(|(id, (asked, got))| {
        let due = ended(*id)?.max(*asked);
        (*got > due).then_some((*id, due, *got))
    });
    case.rule(
        "progress",
        late.is_none(),
        late.map(|(id, due, _)| {
            format!("reply {id} is given at {}, when it is there and asked for", time(due))
        })
        .unwrap_or_default(),
        late.map(|(_, _, got)| format!("given at {}", time(got))).unwrap_or_default(),
    )
}

/// The lower bound, proved by calls that wait for each other.
fn meets(answer: Answer<'_>) -> Checked {
    Case::run("6 calls that wait until 3 are in flight, limit 3", async |recorder| {
        let backend = Backend::new(&recorder).meeting_of(3);
        let replies = answer(backend, Box::new(1..=6), limit_of(3));
        read(replies, Duration::ZERO, &recorder).await;
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "3 calls in flight at once"))?;
    Ok(())
}

/// A reader that needs what the calls hold.
fn shares(answer: Answer<'_>) -> Checked {
    let name =
        "6 ids, limit 3; for each item the reader calls the same backend, which serves one call at a time";
    let case = Case::run(name, async |recorder| {
        let backend = Backend::new(&recorder).places(1);
        let mut replies = answer(backend.clone(), Box::new(1..=6), limit_of(3));
        let mut read = 0;
        while replies.next().await.is_some() {
            drop(backend.fetch(100).await);
            read += 1;
        }
        read
    })
    .map_err(breaks(Kind::Deadlock, "progress", "the reader's call gets its turn"))?;
    case.rule("every-id", case.value == 6, "6 items", format!("{} items", case.value))
}

fn asks_for_each_duplicate(answer: Answer<'_>) -> Checked {
    let ids = [7, 3, 7, 7, 3];
    let case = Case::run("ids 7, 3, 7, 7, 3, limit 2", async |recorder| {
        let backend = Backend::new(&recorder).on(7, Duration::from_millis(30), Outcome::Reply);
        let replies = answer(backend.clone(), Box::new(ids.into_iter()), limit_of(2));
        (read(replies, Duration::ZERO, &recorder).await.items, backend.calls())
    })?;
    every_id(&case, &ids, &case.value.0, &case.value.1)?;
    in_order(&case, &ids, &case.value.0)
}

fn passes_errors_on(answer: Answer<'_>) -> Checked {
    let case = Case::run("5 ids, 2 fails and 4 times out, limit 2", async |recorder| {
        let backend = Backend::new(&recorder)
            .on(1, Duration::from_millis(60), Outcome::Reply)
            .on(2, Duration::from_millis(10), Outcome::Fail)
            .on(4, Duration::from_millis(20), Outcome::TimeOut);
        let replies = answer(backend.clone(), Box::new(1..=5), limit_of(2));
        (read(replies, Duration::from_millis(15), &recorder).await.items, backend.calls())
    })
    .map_err(breaks(Kind::Panic, "errors", "an error is an item, not a panic"))?;
    let told: Vec<String> = case.value.0.iter().map(described).collect();
    let wanted =
        ["reply 1", "item 2 is unavailable", "reply 3", "the backend timed out on item 4", "reply 5"];
    case.rule("errors", told == wanted, wanted.join(", "), told.join(", "))?;
    // Whether to ask again is for the reader to say.
    every_id(&case, &[1, 2, 3, 4, 5], &case.value.0, &case.value.1)
}

fn takes_nothing(answer: Answer<'_>) -> Checked {
    let case = Case::run("no ids, limit 3", async |recorder| {
        let replies = answer(Backend::new(&recorder), Box::new(std::iter::empty()), limit_of(3));
        read(replies, Duration::ZERO, &recorder).await.items.len()
    })?;
    case.rule("every-id", case.value == 0, "no item", format!("{} items", case.value))
}

fn stays_lazy(answer: Answer<'_>) -> Checked {
    const LIMIT: usize = 3;
    let case = Case::run("ids without end, limit 3, a reader of 10 items", async |recorder| {
        let backend = Backend::new(&recorder);
        // Not quite without end: who takes them all should be told so, and not run out of memory.
        let (ids, taken) = counted(0..100_000);
        let handed = Arc::new(AtomicUsize::new(0));
        let (count, most) = (handed.clone(), Arc::new(std::sync::Mutex::new(None)));
        let (seen, took) = (most.clone(), taken.clone());
        // Looked at when an id is taken: the reader may be waiting then.
        let ids: Ids = Box::new(ids.inspect(move |_| {
            let (read, taken) = (count.load(Relaxed), took.load(Relaxed));
            if taken > read + LIMIT + 1 {
                seen.lock().expect("nobody panics with it").get_or_insert((read, taken));
            }
        }));
        let mut replies = answer(backend.clone(), ids, limit_of(LIMIT)).take(10);
        let (mut read, mut ahead) = (0, None);
        while replies.next().await.is_some() {
            read += 1;
            handed.store(read, Relaxed);
            sleep(Duration::from_millis(25)).await;
            let taken = taken.load(Relaxed);
            if taken > read + LIMIT + 1 {
                ahead.get_or_insert((read, taken));
            }
        }
        let ahead = ahead.or(*most.lock().expect("nobody panics with it"));
        (read, ahead)
    })?;
    let (read, ahead) = case.value;
    case.rule(
        "lazy",
        ahead.is_none(),
        format!("at most {} ids taken more than were read", LIMIT + 1),
        ahead.map(|(read, taken)| format!("{taken} ids taken when {read} were read")).unwrap_or_default(),
    )?;
    case.rule("every-id", read == 10, "10 items", format!("{read} items"))
}

/// Drops the stream in the middle of its calls, after so many items.
fn stops(answer: Answer<'_>, reads: usize) -> Checked {
    let name = format!("12 ids, limit 3, dropped soon after {reads} items were read");
    let case = Case::run(name, async |recorder| {
        let backend = Backend::new(&recorder).latency(Duration::from_millis(20));
        let mut replies = answer(backend.clone(), Box::new(1..=12), limit_of(3));
        let read = (&mut replies).take(reads).count().await;
        // One more is asked for, so that calls are begun also when none was read, and may come or not.
        drop(timeout(Duration::from_millis(5), replies.next()).await);
        sleep(Duration::from_millis(5)).await;
        drop(replies);
        let calls = backend.calls().len();
        // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
        tasks_left().await;
        let running = backend.in_flight();
        // What runs on in spite of it is seen, and told by this rule rather than as a leak.
        sleep(Duration::from_secs(5)).await;
        (read, running, backend.calls().len() - calls)
    })?;
    let (read, running, more) = case.value;
    case.rule("every-id", read == reads, format!("{reads} items"), format!("{read} items"))?;
    nothing_runs_on(&case, "stops", running, more)
}

/// Whether each call ended when the backend had its answer ready, and not when somebody came to look.
fn at_the_backends_pace<T>(case: &Case<T>, ids: &[u32], latencies: &[Duration], calls: &[Call]) -> Checked {
    let stalled = calls.iter().find_map(|call| {
        let (_, own) = ids.iter().zip(latencies).find(|(id, _)| **id == call.id)?;
        let took = call.ended?.0 - call.started;
        (took != *own).then_some((call.id, *own, took))
    });
    case.rule(
        "progress",
        stalled.is_none(),
        stalled
            .map(|(id, own, _)| format!("the call for {id} takes {}, as the backend does", time(own)))
            .unwrap_or_default(),
        stalled
            .map(|(_, _, took)| format!("{}: it stood still while the reader worked", time(took)))
            .unwrap_or_default(),
    )
}

fn every_id<T>(case: &Case<T>, ids: &[u32], items: &[Item], calls: &[Call]) -> Checked {
    asked_for_each(case, "every-id", ids, calls)?;
    case.rule(
        "every-id",
        items.len() == ids.len(),
        format!("{} items", ids.len()),
        format!("{} items", items.len()),
    )?;
    seen_to_their_end(case, "every-id", calls)
}

fn in_order<T>(case: &Case<T>, ids: &[u32], items: &[Item]) -> Checked {
    let wanted: Vec<String> = ids.iter().map(|id| format!("reply {id}")).collect();
    let told: Vec<String> = items.iter().map(described).collect();
    case.rule("order", told == wanted, wanted.join(", "), told.join(", "))
}

fn described(item: &Item) -> String {
    match item {
        Ok(reply) if reply.body == format!("item {}", reply.id) => format!("reply {}", reply.id),
        Ok(reply) => format!("reply {} with {:?}", reply.id, reply.body),
        Err(error) => error.to_string(),
    }
}

/// Ids, and how many of them were taken.
fn counted(ids: impl Iterator<Item = u32> + Send + 'static) -> (Ids, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let ids = ids.inspect(move |_| {
        count.fetch_add(1, Relaxed);
    });
    (Box::new(ids), taken)
}
