//! What is verified on any answer to `compile_errors`, and the settings that it works with.

use common::{
    Backend, Recorder, Verdict,
    backend::{Outcome, Reply},
    draw::time,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    collections::HashMap,
    fmt,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{Case, Checked, case::verdict, latencies, latencies::shuffled};
use tokio::task::JoinHandle;

/// How items are to be labelled. To be shared, not copied: a clone is one more set of settings.
pub struct Settings {
    shop: String,
    counts: Arc<Counts>,
}

impl Settings {
    /// The label of an item.
    pub fn label(&self, reply: &Reply) -> String {
        self.counts.labels.fetch_add(1, Relaxed);
        format!("{}: {}", self.shop, reply.body)
    }
}

impl Clone for Settings {
    fn clone(&self) -> Self {
        self.counts.copies.fetch_add(1, Relaxed);
        Self { shop: self.shop.clone(), counts: self.counts.clone() }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({})", self.shop)
    }
}

#[derive(Default)]
struct Counts {
    copies: AtomicUsize,
    dropped: AtomicUsize,
    labels: AtomicUsize,
}

impl Counts {
    fn settings(self: &Arc<Self>) -> Settings {
        Settings { shop: String::from("lamps & co"), counts: self.clone() }
    }
}

/// The pieces of an answer.
pub(crate) struct Answers<'a> {
    pub(crate) total: &'a dyn Fn(Backend, Vec<u32>) -> BoxFuture<'static, usize>,
    pub(crate) pair: &'a dyn Fn(Backend, Settings, u32, u32) -> BoxFuture<'static, (String, String)>,
    pub(crate) labels: &'a dyn Fn(Backend, Settings, Vec<u32>) -> BoxFuture<'static, Vec<String>>,
    pub(crate) poll: &'a dyn Fn(Backend, Settings, Vec<u32>) -> BoxFuture<'static, Vec<String>>,
    pub(crate) lookup: &'a dyn Fn(Vec<Place>, u32) -> BoxFuture<'static, Option<String>>,
    pub(crate) count: &'a dyn Fn(Backend, u32, u32) -> BoxFuture<'static, usize>,
}

/// Where to look for an item; an answer makes it a source.
pub(crate) enum Place {
    Cache(HashMap<u32, String>),
    Backend(Backend),
}

/// The bounds of `tokio::spawn`: whoever calls these pieces spawns them.
pub(crate) fn spawned<T>(future: impl Future<Output = T> + Send + 'static) -> BoxFuture<'static, T> {
    future.boxed()
}

/// Waits for each task, and passes on a panic.
pub(crate) async fn joined(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if let Err(error) = task.await
            && let Ok(payload) = error.try_into_panic()
        {
            resume_unwind(payload);
        }
    }
}

/// The verdict on an answer, by its module.
macro_rules! judged {
    ($($answer:tt)+) => {
        check::check(&check::Answers {
            total: &|backend, ids| check::spawned($($answer)+::total(backend, ids)),
            pair: &|backend, settings, first, second| {
                check::spawned($($answer)+::pair(backend, settings, first, second))
            },
            labels: &|backend, settings, ids| check::spawned($($answer)+::labels(backend, settings, ids)),
            poll: &|backend, settings, ids| {
                check::spawned(async move {
                    let poller = std::sync::Arc::new($($answer)+::Poller::new(backend, settings));
                    // However it receives itself: `&self`, `&Arc<Self>`, `Arc<Self>`.
                    check::joined(ids.into_iter().map(|id| poller.clone().start(id)).collect()).await;
                    poller.seen()
                })
            },
            lookup: &|places, id| {
                let source = |place| -> Box<dyn $($answer)+::Source> {
                    match place {
                        check::Place::Cache(cache) => Box::new(cache),
                        check::Place::Backend(backend) => Box::new(backend),
                    }
                };
                check::spawned($($answer)+::lookup(places.into_iter().map(source).collect(), id))
            },
            count: &|backend, id, last| check::spawned($($answer)+::count(backend, id, last)),
        })
    };
}
pub(crate) use judged;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(answers: &Answers<'_>) -> Verdict {
    verdict(|| {
        for (size, seed) in [(4, 1), (7, 2), (1, 3), (0, 4)] {
            adds_up(answers, size, seed)?;
        }
        for (first, second, seed) in [(1, 2, 1), (2, 1, 2), (3, 4, 5)] {
            gives_a_pair(answers, first, second, seed)?;
        }
        for (size, seed) in [(5, 1), (8, 6), (2, 3)] {
            labels_all(answers, size, seed)?;
            polls(answers, size, seed)?;
        }
        looks_up(answers)?;
        for (id, last, fails) in
            [(1, 1, 0), (1, 10, 0), (1, 31, 0), (1, 20, 3), (3, 25, 0), (5, 43, 10), (2, 9, 2), (4, 3, 0)]
        {
            counts_a_tree(answers, id, last, fails)?;
        }
        Ok(())
    })
}

/// The items that fail are those with this id.
const BROKEN: u32 = 2;

/// A backend that knows `ids`, with latencies that the seed draws, and how long the slowest takes.
fn backend(recorder: &Recorder, ids: &[u32], seed: u64) -> (Backend, Duration) {
    let drawn = latencies(seed, ids.len());
    let mut backend = Backend::new(recorder);
    for (id, latency) in ids.iter().zip(&drawn) {
        let outcome = if *id == BROKEN { Outcome::Fail } else { Outcome::Reply };
        backend = backend.on(*id, *latency, outcome);
    }
    (backend, drawn.into_iter().max().unwrap_or_default())
}

fn adds_up(answers: &Answers<'_>, size: u32, seed: u64) -> Checked {
    let ids = shuffled(seed, size);
    let case = Case::run(format!("1. total of {size} ids"), async |recorder: Recorder| {
        let (backend, slowest) = backend(&recorder, &ids, seed);
        let total = (answers.total)(backend.clone(), ids.clone()).await;
        (total, backend, slowest)
    })?;
    let (total, backend, slowest) = &case.value;
    let wanted: usize = ids.iter().filter(|id| **id != BROKEN).map(|id| format!("item {id}").len()).sum();
    asks_for(&case, backend, &ids)?;
    overlaps(&case, *slowest)?;
    case.rule("values", *total == wanted, wanted, total)
}

fn gives_a_pair(answers: &Answers<'_>, first: u32, second: u32, seed: u64) -> Checked {
    let counts = Arc::new(Counts::default());
    let case = Case::run(format!("2. pair of {first} and {second}"), async |recorder: Recorder| {
        let (backend, slowest) = backend(&recorder, &[first, second], seed);
        let pair = (answers.pair)(backend.clone(), counts.settings(), first, second).await;
        (pair, backend, slowest)
    })?;
    let (pair, backend, slowest) = &case.value;
    asks_for(&case, backend, &[first, second])?;
    overlaps(&case, *slowest)?;
    shares(&case, &counts)?;
    let label = |id| match id {
        BROKEN => format!("item {id} is unavailable"),
        _ => format!("lamps & co: item {id}"),
    };
    let wanted = (label(first), label(second));
    case.rule("values", *pair == wanted, format!("{wanted:?}"), format!("{pair:?}"))
}

fn labels_all(answers: &Answers<'_>, size: u32, seed: u64) -> Checked {
    let ids = shuffled(seed, size);
    let counts = Arc::new(Counts::default());
    let case = Case::run(format!("3. labels of {size} ids"), async |recorder: Recorder| {
        let (backend, slowest) = backend(&recorder, &ids, seed);
        let labels = (answers.labels)(backend.clone(), counts.settings(), ids.clone()).await;
        (labels, backend, slowest)
    })?;
    let (labels, backend, slowest) = &case.value;
    asks_for(&case, backend, &ids)?;
    overlaps(&case, *slowest)?;
    shares(&case, &counts)?;
    let wanted = all_labels(&ids);
    case.rule("values", *labels == wanted, format!("{wanted:?}"), format!("{labels:?}"))
}

fn polls(answers: &Answers<'_>, size: u32, seed: u64) -> Checked {
    let ids = shuffled(seed, size);
    let counts = Arc::new(Counts::default());
    let case = Case::run(format!("4. a Poller that is started {size} times"), async |recorder: Recorder| {
        let (backend, slowest) = backend(&recorder, &ids, seed);
        let seen = (answers.poll)(backend.clone(), counts.settings(), ids.clone()).await;
        (seen, backend, slowest)
    })?;
    let (seen, backend, slowest) = &case.value;
    asks_for(&case, backend, &ids)?;
    overlaps(&case, *slowest)?;
    let (mut seen, mut wanted) = (seen.clone(), all_labels(&ids));
    seen.sort_unstable();
    wanted.sort_unstable();
    let labels = counts.labels.load(Relaxed);
    // What is in the list and has no business there is wrong in itself; what is missing is in another list.
    let made = labels >= wanted.len() && seen.iter().all(|label| wanted.contains(label));
    let rule = if made { "shared" } else { "values" };
    case.rule(rule, seen == wanted, format!("`seen` has {wanted:?}"), format!("{seen:?}"))?;
    shares(&case, &counts)
}

fn looks_up(answers: &Answers<'_>) -> Checked {
    let cached = |ids: &[u32]| ids.iter().map(|id| (*id, format!("{id} from the cache"))).collect();
    let from_cache = |id: u32| Some(format!("{id} from the cache"));
    for (id, caches, wanted, asked) in [
        (7, vec![vec![7, 9]], from_cache(7), 0),
        (8, vec![vec![7, 9]], Some(String::from("item 8")), 1),
        (BROKEN, vec![vec![7, 9]], None, 1),
        (9, vec![vec![7], vec![9]], from_cache(9), 0),
        (7, vec![], Some(String::from("item 7")), 1),
    ] {
        let name = match caches.len() {
            0 => format!("5. lookup of {id}, the backend is the only source"),
            1 => format!("5. lookup of {id}, with 7 and 9 in a cache, then the backend"),
            _ => format!("5. lookup of {id}, with 7 in a cache and 9 in the next, then the backend"),
        };
        let case = Case::run(name, async |recorder: Recorder| {
            let (backend, _) = backend(&recorder, &[7, 8, BROKEN], 1);
            let caches = caches.iter().map(|ids| Place::Cache(cached(ids)));
            let places = caches.chain([Place::Backend(backend.clone())]).collect();
            let found = (answers.lookup)(places, id).await;
            (found, backend.calls().len())
        })?;
        let (found, calls) = &case.value;
        let words = |calls: usize| if calls == 1 { String::from("1 call") } else { format!("{calls} calls") };
        case.rule("values", *found == wanted, format!("{wanted:?}"), format!("{found:?}"))?;
        case.rule("values", *calls == asked, words(asked), words(*calls))?;
    }
    Ok(())
}

fn counts_a_tree(answers: &Answers<'_>, id: u32, last: u32, fails: u32) -> Checked {
    let drawn = latencies(u64::from(last), last as usize);
    let fails_too = if fails == 0 { String::new() } else { format!(", {fails} fails") };
    let case = Case::run(format!("6. count from {id} to {last}{fails_too}"), async |recorder: Recorder| {
        let mut backend = Backend::new(&recorder);
        for (id, latency) in (1..=last).zip(&drawn) {
            let outcome = if id == fails { Outcome::Fail } else { Outcome::Reply };
            backend = backend.on(id, *latency, outcome);
        }
        let count = (answers.count)(backend.clone(), id, last).await;
        (count, backend)
    })?;
    let (count, backend) = &case.value;
    let mut asked = Vec::new();
    let due = walks(id, fails, &drawn, &mut asked);
    let wanted = asked.iter().filter(|id| **id != fails).count();
    asks_for(&case, backend, &asked)?;
    overlaps(&case, due)?;
    case.rule("values", *count == wanted, wanted, count)
}

/// The calls for a tree of which each item waits for those above it, and for no other; and how long they take.
fn walks(id: u32, fails: u32, latencies: &[Duration], asked: &mut Vec<u32>) -> Duration {
    let Some(latency) = latencies.get(id as usize - 1) else { return Duration::ZERO };
    asked.push(id);
    if id == fails {
        return *latency;
    }
    let [left, right] = [2 * id, 2 * id + 1].map(|child| walks(child, fails, latencies, asked));
    *latency + left.max(right)
}

fn all_labels(ids: &[u32]) -> Vec<String> {
    ids.iter().filter(|id| **id != BROKEN).map(|id| format!("lamps & co: item {id}")).collect()
}

/// One call an id.
fn asks_for<T>(case: &Case<T>, backend: &Backend, ids: &[u32]) -> Checked {
    let mut asked: Vec<u32> = backend.calls().iter().map(|call| call.id).collect();
    let mut wanted = ids.to_vec();
    asked.sort_unstable();
    wanted.sort_unstable();
    case.rule("values", asked == wanted, format!("calls for {wanted:?}"), format!("calls for {asked:?}"))
}

fn overlaps<T>(case: &Case<T>, due: Duration) -> Checked {
    case.rule(
        "concurrent",
        case.elapsed <= due + Duration::from_millis(2),
        format!("{}, as calls take that are made at the same time", time(due)),
        format!("{} in all", time(case.elapsed)),
    )
}

/// That there was one set of settings, and that it is gone.
fn shares<T>(case: &Case<T>, counts: &Counts) -> Checked {
    let (copies, dropped) = (counts.copies.load(Relaxed), counts.dropped.load(Relaxed));
    let times = if copies == 1 { String::from("once") } else { format!("{copies} times") };
    case.rule("shared", copies == 0, "the settings are not copied", format!("they were copied {times}"))?;
    case.rule("released", dropped == 1, "the settings are dropped in the end", "they are never dropped")
}
