//! What is verified on any answer to `leak_hunt`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, CallEnd, Outcome},
    draw::time,
    verdict::{Finding, Kind},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    every_await, latencies,
    simulation::tasks_left,
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{sleep, timeout},
};

type Answer<'a> = &'a dyn Fn(Backend, Receiver<Vec<u32>>, Sender<Vec<String>>) -> BoxFuture<'static, ()>;

const ALIVE: u32 = 1;
const REPLICAS: [u32; 2] = [11, 12];
const SIMILAR: u32 = 20;
const PRICES: u32 = 30;

const HEARTBEAT: Duration = ms(50);
/// As long as the call of a heartbeat takes.
const TAKES: Duration = ms(5);
const PATIENCE: Duration = ms(30);
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);

const PAGE_OVER: &str = "when a page has been sent, none of its calls runs on but the refresh of the prices";
const SHUTDOWN: &str = "nothing that `serve` has started is alive when it has returned";
const RETURNS: &str = "`serve` returns when there are no more requests";
const DROPPED: &str = "nothing that `serve` has started is alive when it has been dropped";

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Backend, Receiver<Vec<u32>>, Sender<Vec<String>>) -> F) -> Verdict
where
    F: Future<Output = ()> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, requests, pages| answer(backend, requests, pages).boxed();
    verdict(|| {
        for day in days() {
            serves(answer, &day)?;
        }
        waits_for_the_reader(answer)?;
        nobody_wants_the_pages(answer)?;
        for after in [15, 45, 0, 70, 110] {
            stops(answer, ms(after))?;
        }
        stops_at_every_await(answer)
    })
}

/// Requests, and how long the backend takes for what.
#[derive(Debug, Clone)]
struct Day {
    name: &'static str,
    /// When each request comes, and for which items.
    requests: Vec<(Duration, Vec<u32>)>,
    /// How long after the last page there are no more requests.
    idle: Duration,
    seed: u64,
    replicas: [Duration; 2],
    similar: Duration,
    prices: Duration,
    /// What is answered with an error, of whichever kind.
    fails: &'static [u32],
}

fn days() -> Vec<Day> {
    let three = Day {
        name: "2 pages, the second replica and the similar items are slow",
        requests: vec![(ms(0), vec![103, 101, 102]), (ms(0), vec![105, 104])],
        idle: ms(0),
        seed: 1,
        replicas: [ms(10), ms(170)],
        similar: ms(150),
        prices: ms(25),
        fails: &[104],
    };
    let quiet = Day {
        name: "3 pages with pauses, the first replica is slow",
        requests: vec![(ms(0), vec![101, 102]), (ms(215), vec![103]), (ms(235), vec![104, 102, 105, 101])],
        idle: ms(180),
        seed: 2,
        replicas: [ms(400), ms(60)],
        similar: ms(20),
        prices: ms(95),
        fails: &[102],
    };
    let busy = Day {
        name: "7 pages in a row, a refresh takes longer than a page",
        requests: (0..7).map(|n| (ms(0), vec![110 + n, 120 + n])).collect(),
        idle: ms(0),
        seed: 3,
        replicas: [ms(5), ms(15)],
        similar: ms(12),
        prices: ms(65),
        fails: &[],
    };
    let late = Day {
        name: "1 page, nothing but its items is ever answered",
        requests: vec![(ms(0), vec![108, 109, 101, 107, 103])],
        idle: ms(0),
        seed: 4,
        replicas: [ms(20), ms(5_000)],
        similar: ms(5_000),
        prices: ms(5_000),
        fails: &[],
    };
    let broken = Day {
        name: "3 pages, the faster replica, the similar items and the prices fail",
        requests: vec![(ms(130), vec![102, 101]), (ms(240), vec![103]), (ms(250), vec![101, 103])],
        idle: ms(60),
        seed: 5,
        replicas: [ms(25), ms(10)],
        similar: ms(10),
        prices: ms(15),
        fails: &[REPLICAS[1], SIMILAR, PRICES],
    };
    let without = Day {
        name: "no request at all",
        requests: Vec::new(),
        idle: ms(1_120),
        fails: &[],
        ..broken.clone()
    };
    vec![three, quiet, busy, late, broken, without]
}

impl Day {
    fn backend(&self, recorder: &Recorder) -> Backend {
        let others = [
            (ALIVE, TAKES),
            (REPLICAS[0], self.replicas[0]),
            (REPLICAS[1], self.replicas[1]),
            (SIMILAR, self.similar),
            (PRICES, self.prices),
        ];
        let mut backend = Backend::new(recorder);
        for (id, latency) in self.items().into_iter().chain(others) {
            let outcome = if self.fails(id) { Outcome::Fail } else { Outcome::Reply };
            backend = backend.on(id, latency, outcome);
        }
        backend
    }

    fn fails(&self, id: u32) -> bool {
        self.fails.contains(&id)
    }

    /// Every item with its latency.
    fn items(&self) -> Vec<(u32, Duration)> {
        let mut ids: Vec<u32> = self.requests.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let drawn = latencies(self.seed, ids.len().min(5));
        ids.into_iter().enumerate().map(|(n, id)| (id, drawn[n % drawn.len()])).collect()
    }

    /// How long a page takes whose calls run at the same time.
    fn takes(&self, ids: &[u32]) -> Duration {
        let items = self.items();
        let slowest = items.iter().filter(|(id, _)| ids.contains(id)).map(|(_, latency)| *latency).max();
        slowest
            .unwrap_or_default()
            .max(self.replicas[0].min(self.replicas[1]))
            .max(self.similar.min(PATIENCE))
    }

    /// The lines of a page, but for the prices.
    fn page(&self, ids: &[u32]) -> Vec<String> {
        let item = |id| {
            if self.fails(id) { format!("item {id} is unavailable") } else { format!("item {id}") }
        };
        let replica = REPLICAS[usize::from(self.replicas[1] < self.replicas[0])];
        // The first answer counts, and an error is one.
        let stock = if self.fails(replica) { String::from("unknown") } else { format!("item {replica}") };
        let in_time = self.similar < PATIENCE && !self.fails(SIMILAR);
        let similar = if in_time { format!("item {SIMILAR}") } else { String::from("none") };
        let mut page: Vec<String> = ids.iter().map(|id| item(*id)).collect();
        page.extend([format!("stock: {stock}"), format!("similar: {similar}")]);
        page
    }
}

/// What was seen of a run. It stays when the run itself is not worth its value: after a leak.
#[derive(Debug, Clone, Default)]
struct Seen {
    pages: Vec<Page>,
    calls: Vec<Call>,
    returned: Duration,
    /// When the last request, and the end of requests, had come.
    closed: Duration,
    /// Alive after the return.
    tasks: usize,
    running: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Page {
    at: Duration,
    lines: Vec<String>,
    /// Calls for this page that ran on.
    running: Vec<u32>,
}

fn serves(answer: Answer<'_>, day: &Day) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let run = Case::run(day.name, async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (request, requests) = mpsc::channel(16);
        let (page, mut pages) = mpsc::channel(16);
        let (start, ask_of) = (recorder.clone(), &day.requests);
        let ask = async move {
            for (at, ids) in ask_of {
                sleep(at.saturating_sub(start.now())).await;
                request.send(ids.clone()).await.ok();
            }
            request
        };
        let take = async {
            for _ in &day.requests {
                let Some(lines) = pages.recv().await else { break };
                let at = recorder.now();
                tasks_left().await;
                // Calls for the next page begin in this moment.
                let over = |call: &&Call| call.started < at && call.id != ALIVE && call.id != PRICES;
                let calls = backend.calls();
                let running = calls.iter().filter(|call| call.ended.is_none()).filter(over);
                let running = running.map(|call| call.id).collect();
                lock(&seen).pages.push(Page { at, lines, running });
            }
        };
        let talk = async {
            let (request, ()) = tokio::join!(ask, take);
            sleep(day.idle).await;
            lock(&seen).closed = recorder.now();
            drop(request);
        };
        let serve = async {
            answer(backend.clone(), requests, page).await;
            lock(&seen).returned = recorder.now();
        };
        tokio::join!(serve, talk);
        note_what_is_left(&backend, &seen).await;
    });
    let seen = lock(&shared).clone();
    if let Some(page) = seen.pages.iter().position(|page| !page.running.is_empty()) {
        let Page { at, running, .. } = &seen.pages[page];
        let told =
            format!("page {} was sent at {}, and still running: {}", page + 1, time(*at), named(running));
        return Err(broken(run, "page-over", PAGE_OVER, told));
    }
    // What keeps it going when all is done is no page.
    let done = seen.pages.len() == day.requests.len();
    let run = if done { run.map_err(breaks(Kind::Hang, "shutdown", RETURNS)) } else { run };
    let case = ended_clean(run, &seen, "shutdown", SHUTDOWN)?;
    pages_are_right(&case, day, &seen)?;
    heart_beats(&case, &seen)?;
    calls_overlap(&case, day, &seen)?;
    refreshes(&case, day, &seen)
}

fn pages_are_right(case: &Case<()>, day: &Day, seen: &Seen) -> Checked {
    case.rule(
        "pages",
        seen.pages.len() == day.requests.len(),
        format!("{} pages", day.requests.len()),
        format!("{} pages", seen.pages.len()),
    )?;
    for ((_, ids), page) in day.requests.iter().zip(&seen.pages) {
        let mut wanted = day.page(ids);
        // Which of the two is told by `refresh`.
        let (none, some) = (String::from("prices: none"), format!("prices: item {PRICES}"));
        let known = page.lines.last() == Some(&some) && !day.fails(PRICES);
        wanted.push(if known { some } else { none });
        case.rule("pages", page.lines == wanted, wanted.join(", "), page.lines.join(", "))?;
    }
    Ok(())
}

fn calls_overlap(case: &Case<()>, day: &Day, seen: &Seen) -> Checked {
    let mut ready = Duration::ZERO;
    for (n, ((at, ids), page)) in day.requests.iter().zip(&seen.pages).enumerate() {
        let begin = ready.max(*at);
        let due = begin + day.takes(ids);
        case.rule(
            "concurrent",
            page.at <= due + GRAIN,
            format!("page {} {} after its request: its calls at the same time", n + 1, time(day.takes(ids))),
            format!("page {} took {}", n + 1, time(page.at - begin)),
        )?;
        ready = page.at;
    }
    case.rule(
        "shutdown",
        seen.returned <= seen.closed.max(ready) + GRAIN,
        format!("an end at {}, when there were no more requests", time(seen.closed.max(ready))),
        format!("an end at {}", time(seen.returned)),
    )
}

fn refreshes(case: &Case<()>, day: &Day, seen: &Seen) -> Checked {
    let calls: Vec<&Call> = seen.calls.iter().filter(|call| call.id == PRICES).collect();
    case.rule(
        "refresh",
        calls.len() == day.requests.len(),
        format!("{} refreshes for as many requests", day.requests.len()),
        format!("{} refreshes", calls.len()),
    )?;
    let stopped = calls.iter().filter_map(|call| match call.ended {
        Some((at, CallEnd::Dropped)) if at + GRAIN < seen.returned => Some((call.started, at)),
        _ => None,
    });
    if let Some((began, at)) = stopped.into_iter().next() {
        return case.rule(
            "refresh",
            false,
            "a refresh goes on until it has the prices, or `serve` ends",
            format!("the refresh of {} was dropped at {}", time(began), time(at)),
        );
    }
    let ends = calls.iter().filter_map(|call| call.ended).filter(|_| !day.fails(PRICES));
    let known = ends.map(|(at, _)| at).min();
    let mut begin = Duration::ZERO;
    for (n, ((at, _), page)) in day.requests.iter().zip(&seen.pages).enumerate() {
        begin = begin.max(*at);
        let shows = page.lines.last().is_some_and(|line| *line == format!("prices: item {PRICES}"));
        // Looked up at the beginning of the page or at its end: either is as it was.
        let must = known.is_some_and(|at| at < begin);
        let may = known.is_some_and(|at| at <= page.at);
        let words = |yes| if yes { "the prices" } else { "no prices yet" };
        case.rule(
            "refresh",
            if shows { may } else { !must },
            format!("page {} of {} shows {}", n + 1, time(page.at), words(must)),
            words(shows),
        )?;
        begin = page.at;
    }
    Ok(())
}

fn heart_beats(case: &Case<()>, seen: &Seen) -> Checked {
    let beats: Vec<Duration> =
        seen.calls.iter().filter(|call| call.id == ALIVE).map(|call| call.started).collect();
    case.rule(
        "alive",
        beats.first().is_some_and(|first| *first <= GRAIN),
        "the first heartbeat at the start of `serve`",
        beats.first().map_or_else(|| String::from("none at all"), |at| format!("the first at {}", time(*at))),
    )?;
    let mut before = Duration::ZERO;
    for beat in beats.iter().copied().chain([seen.returned]) {
        case.rule(
            "alive",
            // 50 ms between the end of a call and the next one are near enough.
            beat.saturating_sub(before) <= HEARTBEAT + TAKES + ms(1),
            format!("a heartbeat every {}", time(HEARTBEAT)),
            format!("none from {} to {}", time(before), time(beat)),
        )?;
        before = beat;
    }
    let most = seen.returned.as_millis() / HEARTBEAT.as_millis() + 1;
    case.rule(
        "alive",
        beats.len() as u128 <= most,
        format!("{most} heartbeats in {}", time(seen.returned)),
        format!("{} heartbeats", beats.len()),
    )?;
    let cut = seen.calls.iter().filter(|call| call.id == ALIVE).find_map(|call| match call.ended {
        Some((at, CallEnd::Dropped)) if at + GRAIN < seen.returned => Some(at),
        _ => None,
    });
    case.rule(
        "alive",
        cut.is_none(),
        "a heartbeat's call goes on until it is answered, or `serve` ends",
        format!("it was dropped at {}", time(cut.unwrap_or_default())),
    )
}

/// Pages that wait for their reader: the channel holds one.
fn waits_for_the_reader(answer: Answer<'_>) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let day = &Day { fails: &[], ..days().swap_remove(2) };
    let run = Case::run("7 pages, and who reads them takes 120 ms for each", async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (request, requests) = mpsc::channel(16);
        let (page, mut pages) = mpsc::channel(1);
        for (_, ids) in &day.requests {
            request.send(ids.clone()).await.ok();
        }
        drop(request);
        let read = async {
            loop {
                sleep(ms(120)).await;
                let Some(lines) = pages.recv().await else { break };
                lock(&seen).pages.push(Page { at: recorder.now(), lines, running: Vec::new() });
            }
        };
        let serve = async {
            answer(backend.clone(), requests, page).await;
            lock(&seen).returned = recorder.now();
        };
        tokio::join!(serve, read);
        note_what_is_left(&backend, &seen).await;
    });
    let seen = lock(&shared).clone();
    let case = ended_clean(run, &seen, "shutdown", SHUTDOWN)?;
    pages_are_right(&case, day, &seen)?;
    heart_beats(&case, &seen)
}

fn nobody_wants_the_pages(answer: Answer<'_>) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let day = &days()[0];
    let run = Case::run("nobody takes the pages, and the requests go on", async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (request, requests) = mpsc::channel(16);
        let (page, pages) = mpsc::channel(16);
        drop(pages);
        for (_, ids) in &day.requests {
            request.send(ids.clone()).await.ok();
        }
        // One that goes on would do so for ever: the requests do not end.
        timeout(ms(1_000), answer(backend.clone(), requests, page)).await.ok();
        lock(&seen).returned = recorder.now();
        note_what_is_left(&backend, &seen).await;
        drop(request);
    });
    let seen = lock(&shared).clone();
    let case = ended_clean(run, &seen, "shutdown", SHUTDOWN)?;
    let due = day.takes(&day.requests[0].1);
    case.rule(
        "shutdown",
        seen.returned <= due + GRAIN,
        format!("an end at {}, when the first page could not be sent", time(due)),
        if seen.returned < ms(1_000) {
            format!("an end at {}", time(seen.returned))
        } else {
            String::from("it goes on with the other requests, and waits for more")
        },
    )
}

fn stops(answer: Answer<'_>, after: Duration) -> Checked {
    let shared = Arc::new(Mutex::new(Seen::default()));
    let seen = shared.clone();
    let day = &days()[0];
    let run = Case::run(format!("2 pages, dropped after {}", time(after)), async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (request, requests) = mpsc::channel(16);
        let (page, pages) = mpsc::channel(16);
        for (_, ids) in &day.requests {
            request.send(ids.clone()).await.ok();
        }
        timeout(after, answer(backend.clone(), requests, page)).await.ok();
        note_what_is_left(&backend, &seen).await;
        drop((request, pages));
    });
    let seen = lock(&shared).clone();
    ended_clean(run, &seen, "dropped", DROPPED).map(drop)
}

fn stops_at_every_await(answer: Answer<'_>) -> Checked {
    let last = Arc::new(Mutex::new(Vec::new()));
    let setup = || {
        let (request, requests) = mpsc::channel(16);
        let (page, pages) = mpsc::channel(1);
        for (_, ids) in &days()[0].requests {
            request.try_send(ids.clone()).ok();
        }
        let backend = days()[0].backend(&Recorder::new("dropped at an await"));
        Setup { backend, open: Mutex::new(Some((requests, page))), _pages: pages, last: last.clone() }
    };
    let operation = |setup: &Setup| {
        let open = lock(&setup.open).take();
        let serve = open.map(|(requests, page)| answer(setup.backend.clone(), requests, page));
        // A page that nobody reads fills the channel: the second one waits in `send`, so that this await is seen, too.
        timeout(ms(500), async move {
            if let Some(serve) = serve {
                serve.await;
            }
        })
    };
    match every_await(setup, operation, async |_| Ok(())) {
        Ok(_) => Ok(()),
        Err(told) => {
            let place = told.rsplit_once(": ").map_or(told.as_str(), |(place, _)| place);
            let finding = Finding {
                rule: Some(String::from("dropped")),
                case: String::from("2 pages, dropped at each await in turn"),
                expected: String::from(DROPPED),
                seen: format!("{place}: {}", alive(1, &lock(&last))),
                trace: None,
            };
            Err(Box::new(Verdict::found(Kind::RuleBroken, finding)))
        }
    }
}

/// The ends of the channels that an answer holds.
type Ends = (Receiver<Vec<u32>>, Sender<Vec<String>>);

/// Notes, when it goes, which calls run on.
struct Setup {
    backend: Backend,
    open: Mutex<Option<Ends>>,
    _pages: Receiver<Vec<String>>,
    last: Arc<Mutex<Vec<u32>>>,
}

impl Drop for Setup {
    fn drop(&mut self) {
        *lock(&self.last) = in_flight(&self.backend);
    }
}

async fn note_what_is_left(backend: &Backend, seen: &Mutex<Seen>) {
    // An aborted task goes when the scheduler next looks at it; it gets that chance, but no time.
    let tasks = tasks_left().await;
    let mut seen = lock(seen);
    seen.tasks = tasks;
    seen.running = in_flight(backend);
    seen.calls = backend.calls();
}

fn in_flight(backend: &Backend) -> Vec<u32> {
    backend.calls().iter().filter(|call| call.ended.is_none()).map(|call| call.id).collect()
}

/// The case, if nothing was left of it.
fn ended_clean(run: Checked<Case<()>>, seen: &Seen, rule: &str, expected: &str) -> Checked<Case<()>> {
    if seen.tasks > 0 || !seen.running.is_empty() {
        return Err(broken(run, rule, expected, alive(seen.tasks, &seen.running)));
    }
    run
}

/// The verdict that `rule` is broken, with the timeline of the run; unless the run itself failed.
fn broken(run: Checked<Case<()>>, rule: &str, expected: &str, seen: String) -> Box<Verdict> {
    let mut verdict = match run {
        Ok(case) => match case.rule(rule, false, expected, seen) {
            Err(verdict) => return verdict,
            Ok(()) => Box::new(Verdict::pass()),
        },
        Err(verdict) if verdict.kind == Kind::Leak => {
            let mut verdict = verdict;
            if let Some(finding) = &mut verdict.finding {
                seen.clone_into(&mut finding.seen);
            }
            verdict
        }
        Err(verdict) => return verdict,
    };
    verdict = testing::case::breaks(Kind::Leak, rule, expected)(verdict);
    verdict
}

/// "2 tasks are still alive: `fetch 12` (a replica), and one that is in no call".
fn alive(tasks: usize, running: &[u32]) -> String {
    let tasks = tasks.max(running.len());
    let mut told: Vec<String> = Vec::new();
    if !running.is_empty() {
        told.push(named(running));
    }
    match tasks - running.len() {
        0 => {}
        1 => told.push(String::from("one that is in no call at this moment")),
        idle => told.push(format!("{idle} that are in no call at this moment")),
    }
    let count = if tasks == 1 { String::from("1 task is") } else { format!("{tasks} tasks are") };
    format!("{count} still alive: {}", told.join(", and "))
}

fn named(running: &[u32]) -> String {
    let mut names: Vec<String> = Vec::new();
    for id in running {
        let what = match *id {
            ALIVE => "the heartbeat",
            PRICES => "a refresh",
            SIMILAR => "the similar items",
            id if REPLICAS.contains(&id) => "a replica",
            _ => "an item",
        };
        let name = format!("`fetch {id}` ({what})");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [several @ .., last] if !several.is_empty() => format!("{} and {last}", several.join(", ")),
        names => names.concat(),
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
