//! What is verified on any answer to `partial`.

use common::{
    Recorder, Verdict,
    backend::{Gap, first_gap},
    draw::time,
    verdict::Kind,
    web::{Answer, NetworkError, Site},
};
use concurrency::{
    Retryable,
    partial::{Failure, Report},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{fmt, num::NonZeroUsize, time::Duration};
use testing::{
    Case, Checked,
    calls::{asked_for_each, limit_of, nothing_runs_on, seen_to_their_end},
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageError {
    /// There was no response.
    Network(NetworkError),
    /// There was a response, and it was no success.
    Status(u16),
    /// The body is no price.
    Body(String),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => write!(f, "no response: {error}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body(body) => write!(f, "no price: {body:?}"),
        }
    }
}

impl std::error::Error for PageError {}

impl Retryable for PageError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Status(429 | 503))
    }
}

type Prices = Report<u32, u32, PageError>;
type Answers<'a> = &'a dyn Fn(Site, Vec<u32>, NonZeroUsize, NonZeroUsize) -> BoxFuture<'static, Prices>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Site, Vec<u32>, NonZeroUsize, NonZeroUsize) -> F) -> Verdict
where
    F: Future<Output = Prices> + Send + 'static,
{
    let answer: Answers<'_> = &|site, ids, limit, enough| answer(site, ids, limit, enough).boxed();
    verdict(|| {
        // All prices are there; then all kinds of failures; then too many of them.
        Script::of("ppp", 1, 2).check(answer, 9)?;
        for (limit, seed) in [(3, 1), (2, 4), (4, 9), (1, 5), (9, 6)] {
            Script::of("pppppp", seed, limit).check(answer, 9)?;
            Script::of("psnpgpt", seed, limit).check(answer, 99)?;
            Script::of("pXpspXpp", seed, limit).check(answer, 99)?;
        }
        asks_for_each_duplicate(answer)?;
        keeps_equal_ids_apart(answer)?;
        knows_the_kinds(answer)?;
        survives_many_panics(answer)?;
        for (limit, enough) in [(1, 1), (1, 3), (3, 1), (3, 2), (2, 4), (4, 5), (8, 2)] {
            for seed in 0..12 {
                for kinds in ["psppnpsppXgppstpp", "XpXpppXpp", "sppppsppppsppppspppp", "ssss"] {
                    Script::of(kinds, seed, limit).check(answer, enough)?;
                }
            }
        }
        Script::of("", 1, 3).check(answer, 1)?;
        for after in [5, 25, 45] {
            stops(answer, Duration::from_millis(after))?;
        }
        Ok(())
    })
}

/// What the site answers, an id each.
struct Script {
    ids: Vec<u32>,
    kinds: Vec<char>,
    latencies: Vec<Duration>,
    limit: usize,
}

impl Script {
    /// `p`: a price, `s`: status 503, `n`: no such page, `g`: no number, `t`: a timeout of the client, `X`: a panic.
    fn of(kinds: &str, seed: u64, limit: usize) -> Self {
        let mut kinds: Vec<char> = kinds.chars().collect();
        // The kinds come in another order with each seed, the first one of all as they are written.
        if seed > 0 {
            let order = shuffled(seed, u32::try_from(kinds.len()).unwrap_or(0));
            kinds = order.iter().map(|at| kinds[*at as usize - 1]).collect();
        }
        let ids = shuffled(seed + 1, u32::try_from(kinds.len()).unwrap_or(0));
        // Not multiples of each other, so that hardly ever two calls end at the same moment.
        let uneven = |(n, latency): (u32, Duration)| latency + Duration::from_millis(u64::from(n * n % 7));
        let latencies = (0..).zip(latencies(seed, kinds.len())).map(uneven).collect();
        Self { ids, kinds, latencies, limit }
    }

    fn site(&self, recorder: &Recorder) -> Site {
        let mut site = Site::new(recorder);
        for (id, (kind, latency)) in self.ids.iter().zip(self.kinds.iter().zip(&self.latencies)) {
            let answer = match kind {
                's' => Answer::status(503),
                'n' => Answer::status(404),
                'g' => Answer::page("<html>"),
                't' => Answer::broken(NetworkError::TimedOut),
                'X' => Answer::panic(),
                _ => Answer::page((100 + id).to_string()),
            };
            site = site.on(*id, [answer.after(*latency)]);
        }
        site
    }

    fn right(&self, at: usize) -> String {
        let id = self.ids[at];
        match self.kinds[at] {
            's' => format!("{id}: status 503"),
            'n' => format!("{id}: status 404"),
            'g' => format!("{id}: no price: \"<html>\""),
            't' => format!("{id}: no response: the client timed out"),
            'X' => format!("{id}: panicked: item {id} is cursed"),
            _ => format!("{id}: {}", 100 + id),
        }
    }

    /// How many calls begin until so many have failed; nothing, if two end at the same moment, and it is nobody's
    /// business which of them is first.
    fn begun(&self, enough: usize) -> Option<usize> {
        let (mut begun, mut failed, mut now) = (0, 0, Duration::ZERO);
        let mut running: Vec<(Duration, bool)> = Vec::new();
        loop {
            while running.len() < self.limit && failed < enough && begun < self.ids.len() {
                running.push((now + self.latencies[begun], self.kinds[begun] != 'p'));
                begun += 1;
            }
            running.sort_unstable();
            match running.as_slice() {
                [] => return Some(begun),
                [first, second, ..] if first.0 == second.0 => return None,
                [first, ..] => {
                    now = first.0;
                    failed += usize::from(first.1);
                    running.remove(0);
                }
            }
        }
    }

    fn check(&self, answer: Answers<'_>, enough: usize) -> Checked {
        let (limit, all) = (self.limit, self.ids.len());
        let Some(begun) = self.begun(enough) else { return Ok(()) };
        let failing = self.kinds.iter().filter(|kind| **kind != 'p').count();
        let name = format!("{all} ids, of which {failing} fail, limit {limit}, give up after {enough}");
        let costs_no_other = "an error or a panic costs no other call";
        let case = Case::run(name, async |recorder| {
            let site = self.site(&recorder);
            let report = answer(site.clone(), self.ids.clone(), limit_of(limit), limit_of(enough)).await;
            (report, site)
        })
        .map_err(breaks(Kind::Panic, "goes-on", costs_no_other))
        .map_err(breaks(Kind::Deadlock, "goes-on", costs_no_other))?;
        let (report, site) = &case.value;
        let calls = site.calls();
        let peak = site.peak();
        let at_most = format!("at most {limit} calls in flight");
        case.rule("bounded", peak <= limit, at_most, format!("{peak} calls in flight at once"))?;
        let gives_up = begun < all;
        seen_to_their_end(&case, if gives_up { "gives-up" } else { "goes-on" }, &calls)?;
        if gives_up {
            case.rule(
                "gives-up",
                calls.len() == begun,
                format!("{begun} of {all} calls begin, until {enough} have failed"),
                format!("{} began", calls.len()),
            )?;
        } else {
            asked_for_each(&case, "every-id", &self.ids, &calls)?;
        }
        stands_for_each(&case, &self.ids, report)?;
        in_order(&case, &self.ids, report)?;
        let seen = told(report);
        let wanted =
            |at: usize| if at < begun { self.right(at) } else { format!("{}: not started", self.ids[at]) };
        let wanted: Vec<String> = (0..all).map(wanted).collect();
        let differs = wanted.iter().find(|right| !seen.contains(*right));
        let of = |line: &str| line.split(':').next().unwrap_or_default().to_owned() + ":";
        if let Some(right) = differs {
            let found = seen.iter().find(|line| line.starts_with(&of(right)));
            let found = found.map_or("nothing", String::as_str);
            // Begun or not is a question of giving up; how what was begun has ended is not.
            let of_giving_up = [right.as_str(), found].iter().any(|line| line.ends_with("not started"));
            case.rule(if of_giving_up { "gives-up" } else { "kinds" }, false, right, found)?;
        }
        let gap = first_gap(&calls, limit);
        case.rule(
            "concurrent",
            gap.is_none(),
            format!("{limit} in flight as long as there is work"),
            gap.map(|Gap { at, in_flight, to_come }| {
                let (at, all) = (time(at), time(case.elapsed));
                format!("{in_flight} in flight at {at}, and {to_come} still to ask; {all} in all")
            })
            .unwrap_or_default(),
        )?;
        one_client(&case, site, all)
    }
}

fn one_client<T>(case: &Case<T>, site: &Site, calls: usize) -> Checked {
    let clients = site.clients();
    case.rule("one-client", clients <= 1, "one client", format!("{clients} clients for {calls} calls"))
}

fn stands_for_each<T>(case: &Case<T>, ids: &[u32], report: &Prices) -> Checked {
    let mut seen: Vec<u32> = keys(report).collect();
    let mut wanted = ids.to_vec();
    seen.sort_unstable();
    wanted.sort_unstable();
    let kept = seen == wanted;
    case.rule("every-id", kept, format!("a report on {wanted:?}"), format!("a report on {seen:?}"))
}

/// Holds if the lists can be put together to `ids`, each in its order. Equal ids may have ended differently.
fn in_order<T>(case: &Case<T>, ids: &[u32], report: &Prices) -> Checked {
    fn merge(ids: &[u32], ok: &[u32], failed: &[u32]) -> bool {
        let Some((id, ids)) = ids.split_first() else { return ok.is_empty() && failed.is_empty() };
        matches!(ok, [first, ok @ ..] if first == id && merge(ids, ok, failed))
            || matches!(failed, [first, failed @ ..] if first == id && merge(ids, ok, failed))
    }
    let ok: Vec<u32> = report.ok.iter().map(|(id, _)| *id).collect();
    let failed: Vec<u32> = report.failed.iter().map(|(id, _)| *id).collect();
    let right = merge(ids, &ok, &failed);
    let seen = format!("prices of {ok:?}, failures of {failed:?}");
    case.rule("order", right, format!("each list in the order of {ids:?}"), seen)
}

fn keys(report: &Prices) -> impl Iterator<Item = u32> {
    report.ok.iter().map(|(id, _)| *id).chain(report.failed.iter().map(|(id, _)| *id))
}

fn told(report: &Prices) -> Vec<String> {
    let failure = |failure: &Failure<PageError>| match failure {
        Failure::Failed(error) => error.to_string(),
        Failure::Panicked(panic) => format!("panicked: {panic}"),
        Failure::Cancelled => String::from("cancelled"),
        Failure::NotStarted => String::from("not started"),
    };
    let ok = report.ok.iter().map(|(id, price)| format!("{id}: {price}"));
    ok.chain(report.failed.iter().map(|(id, why)| format!("{id}: {}", failure(why)))).collect()
}

fn asks_for_each_duplicate(answer: Answers<'_>) -> Checked {
    let ids = [7, 3, 7, 5, 7, 3, 5];
    let case = Case::run("ids 7, 3, 7, 5, 7, 3, 5, of which 3 and 5 fail, limit 2", async |recorder| {
        let site = Site::new(&recorder)
            .on(7, [Answer::page("107").after(Duration::from_millis(30))])
            .on(3, [Answer::status(404)])
            .on(5, [Answer::status(503).after(Duration::from_millis(47))]);
        let report = answer(site.clone(), ids.to_vec(), limit_of(2), limit_of(9)).await;
        (report, site.calls())
    })?;
    asked_for_each(&case, "every-id", &ids, &case.value.1)?;
    stands_for_each(&case, &ids, &case.value.0)?;
    in_order(&case, &ids, &case.value.0)
}

/// Equal ids that end differently: what was a failure of the second is none of the first.
fn keeps_equal_ids_apart(answer: Answers<'_>) -> Checked {
    let ids = [7, 3, 7, 5, 7, 3];
    let name = "ids 7, 3, 7, 5, 7, 3, of which the second 7 and the second 3 fail, limit 3";
    let case = Case::run(name, async |recorder| {
        let after = |answer: Answer, millis| answer.after(Duration::from_millis(millis));
        // The first request for 7 is the last one to be answered.
        let of_7 = [(Answer::page("107"), 60), (Answer::status(404), 10), (Answer::page("307"), 5)];
        let of_3 = [(Answer::page("103"), 26), (Answer::status(503), 12)];
        let site = Site::new(&recorder)
            .on(7, of_7.map(|(answer, millis)| after(answer, millis)))
            .on(3, of_3.map(|(answer, millis)| after(answer, millis)))
            .on(5, [after(Answer::page("105"), 9)]);
        let report = answer(site.clone(), ids.to_vec(), limit_of(3), limit_of(9)).await;
        (report, site.calls())
    })?;
    let (report, calls) = &case.value;
    asked_for_each(&case, "every-id", &ids, calls)?;
    stands_for_each(&case, &ids, report)?;
    in_order(&case, &ids, report)?;
    let wanted = ["7: 107", "3: 103", "5: 105", "7: 307", "7: status 404", "3: status 503"];
    let seen = told(report);
    let (mut all, mut of_all) = (seen.clone(), wanted.map(str::to_owned));
    all.sort_unstable();
    of_all.sort_unstable();
    // The right lines in the wrong places are a question of order.
    let rule = if all == of_all { "order" } else { "kinds" };
    case.rule(rule, seen == wanted, wanted.join(", "), seen.join(", "))
}

/// What a site may answer, and what it is: a status is a success or none whatever its body says.
fn knows_the_kinds(answer: Answers<'_>) -> Checked {
    let answers = [
        (Answer::page("105"), "105"),
        (Answer::status(201).body("105"), "105"),
        (Answer::status(503).body("105"), "status 503"),
        (Answer::status(302).body("105"), "status 302"),
        (Answer::status(404).body("no such page"), "status 404"),
        (Answer::broken(NetworkError::Refused), "no response: connection refused"),
        (Answer::broken(NetworkError::Reset), "no response: connection reset"),
        (Answer::broken(NetworkError::TimedOut), "no response: the client timed out"),
        (Answer::page(""), "no price: \"\""),
        (Answer::page(" 7"), "no price: \" 7\""),
        (Answer::page("-1"), "no price: \"-1\""),
        (Answer::page("12.5"), "no price: \"12.5\""),
        (Answer::page("5000000000"), "no price: \"5000000000\""),
    ];
    let ids: Vec<u32> = (1..).take(answers.len()).collect();
    let name = format!("{} ids, each answered in another way, limit 4", ids.len());
    let case = Case::run(name, async |recorder| {
        let mut site = Site::new(&recorder);
        for (id, (answer, _)) in ids.iter().zip(&answers) {
            site = site.on(*id, [answer.clone()]);
        }
        answer(site, ids.clone(), limit_of(4), limit_of(99)).await
    })?;
    stands_for_each(&case, &ids, &case.value)?;
    let seen = told(&case.value);
    for (id, (_, right)) in ids.iter().zip(&answers) {
        let (start, right) = (format!("{id}: "), format!("{id}: {right}"));
        let found = seen.iter().find(|line| line.starts_with(&start)).map_or("nothing", String::as_str);
        case.rule("kinds", found == right, &right, found)?;
    }
    Ok(())
}

/// More panics than places: each has to give its place back.
fn survives_many_panics(answer: Answers<'_>) -> Checked {
    let all_fine = "a panic gives its place back: the ids after it are asked for, too";
    let ids: Vec<u32> = (1..=10).collect();
    let case = Case::run("10 ids, of which 1, 3, 5, 6 panic, limit 3", async |recorder| {
        let mut site = Site::new(&recorder);
        for id in 1..=10 {
            let cursed = [1, 3, 5, 6].contains(&id);
            site = site.on(id, [if cursed { Answer::panic() } else { Answer::page("5") }]);
        }
        let report = answer(site.clone(), ids.clone(), limit_of(3), limit_of(9)).await;
        (report, site.calls())
    })
    .map_err(breaks(Kind::Deadlock, "goes-on", all_fine))
    .map_err(breaks(Kind::Panic, "goes-on", all_fine))?;
    let (report, calls) = &case.value;
    asked_for_each(&case, "goes-on", &ids, calls)?;
    case.rule("goes-on", report.ok.len() == 6, "6 prices", format!("{} prices", report.ok.len()))
}

fn stops(answer: Answers<'_>, after: Duration) -> Checked {
    let name = format!("12 ids, limit 3, dropped after {}", time(after));
    let case = Case::run(name, async |recorder| {
        let mut site = Site::new(&recorder);
        for id in 1..=12 {
            site = site.on(id, [Answer::page("5").after(Duration::from_millis(20))]);
        }
        let work = answer(site.clone(), (1..=12).collect(), limit_of(3), limit_of(9));
        let ended = timeout(after, work).await.is_ok();
        let made = site.calls().len();
        // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
        tasks_left().await;
        let running = site.in_flight();
        // What runs on in spite of it is seen, and told by this rule rather than as a leak.
        sleep(Duration::from_secs(5)).await;
        (ended, running, site.calls().len() - made)
    })?;
    let (ended, running, more) = case.value;
    let seen = format!("an end within {}, without the calls", time(after));
    case.rule("concurrent", !ended, "80 ms for 12 calls of 20 ms, 3 at a time", seen)?;
    nothing_runs_on(&case, "stops", running, more)
}
