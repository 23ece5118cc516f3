//! What is verified on any answer to `retry`.

use common::{
    Recorder, Verdict,
    backend::{Call, CallEnd},
    draw::time,
    verdict::Kind,
    web::{Answer, Client, NetworkError, Response, Site},
};
use futures_util::{
    FutureExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use std::time::Duration;
use testing::{
    Case, Checked,
    calls::nothing_runs_on,
    case::{breaks, verdict},
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{sleep, timeout};

/// What is sent, in each attempt the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// For which item.
    pub(crate) id: u32,
    /// Whether it orders, and does not only read.
    pub(crate) orders: bool,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    /// Whether sending it twice is as good as once: it only reads, or it has a key.
    pub(crate) repeatable: bool,
}

impl Request {
    /// Sends it, once.
    pub(crate) fn send(
        &self,
        client: &Client,
    ) -> impl Future<Output = Result<Response, NetworkError>> + Send + use<> {
        if self.orders {
            client.post(self.id, self.key.as_deref()).left_future()
        } else {
            client.get(self.id).right_future()
        }
    }
}

/// How to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Requests at most, the first included.
    pub(crate) attempts: usize,
    /// The longest first pause.
    pub(crate) first_pause: Duration,
    /// The longest pause of all.
    pub(crate) longest_pause: Duration,
    /// How long an attempt may take.
    pub(crate) each: Duration,
    /// How long all of it may take.
    pub(crate) total: Duration,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// With a status that is no success.
    Status(u16),
    /// Without a response.
    Network(NetworkError),
    /// Without an answer within `each`, or within what was left of `total`.
    TimedOut,
}

/// Draws pauses, from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// A pause of whole milliseconds, between nothing and `longest`, each as likely as any other.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        // SplitMix64: small, and good enough for pauses.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let choices = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_millis((mixed ^ (mixed >> 31)) % choices)
    }
}

type Sent = Result<Response, Vec<Failure>>;
type Answers<'a> = &'a dyn Fn(Client, Request, Policy, Jitter) -> BoxFuture<'static, Sent>;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const ROOMY: Policy =
    Policy { attempts: 4, first_pause: ms(50), longest_pause: ms(150), each: ms(300), total: ms(30_000) };

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Client, Request, Policy, Jitter) -> F) -> Verdict
where
    F: Future<Output = Sent> + Send + 'static,
{
    let answer: Answers<'_> =
        &|client, request, policy, jitter| answer(client, request, policy, jitter).boxed();
    verdict(|| {
        for seed in 1..=3 {
            for (what, answers) in [
                ("a page", vec!['p']),
                ("two times 503, then a page", vec!['b', 'b', 'p']),
                ("no such page", vec!['n']),
                ("503, then no such page", vec!['b', 'n']),
                ("503 for ever", vec!['b']),
                ("refused, reset, 500, then a page", vec!['r', 'x', 'i', 'p']),
                ("no answer, then a page", vec!['h', 'p']),
                ("timed out in the network, then a page", vec!['t', 'p']),
            ] {
                Script { what, kind: 'G', answers, policy: ROOMY, seed }.check(answer)?;
            }
            for attempts in [1, 2, 6] {
                let policy = Policy { attempts, ..ROOMY };
                Script { what: "503 for ever", kind: 'G', answers: vec!['b'], policy, seed }.check(answer)?;
            }
            for (what, answers) in [
                ("an order; reset", vec!['x', 'p']),
                ("an order; timed out in the network", vec!['t', 'p']),
                ("an order; 500", vec!['i', 'p']),
                ("an order; no answer", vec!['h', 'p']),
                ("an order; 503, refused, 429, then fine", vec!['b', 'r', 'q', 'p']),
                ("an order; refused, then reset", vec!['r', 'x', 'p']),
            ] {
                Script { what, kind: 'P', answers, policy: ROOMY, seed }.check(answer)?;
            }
            // Whoever names one status that is final, or takes all from 500 on for trouble that passes, is seen here.
            for (what, kind) in [
                ("300 will not pass", '0'),
                ("400 will not pass", '1'),
                ("401 will not pass", '2'),
                ("403 will not pass", '3'),
                ("409 will not pass", '4'),
                ("501 will not pass", '5'),
                ("502 will not pass", '6'),
                ("504 will not pass", '7'),
            ] {
                for request in ['G', 'P', 'K'] {
                    let answers = vec![kind, 'p'];
                    Script { what, kind: request, answers, policy: ROOMY, seed }.check(answer)?;
                }
            }
            let answers = vec!['x', 'h', 'i', 'p'];
            let what = "an order with a key; reset, no answer, 500, then fine";
            Script { what, kind: 'K', answers, policy: ROOMY, seed }.check(answer)?;
        }
        // The more than thirty doublings of a patient client have to stay numbers.
        let policy = Policy { attempts: 40, first_pause: ms(4), longest_pause: ms(6), ..ROOMY };
        let what = "503 for ever, and short pauses";
        Script { what, kind: 'G', answers: vec!['b'], policy, seed: 1 }.check(answer)?;
        spreads_its_pauses(answer, Duration::ZERO)?;
        spreads_its_pauses(answer, ms(500))?;
        for seed in 1..=8 {
            let what = "503 with Retry-After: 400 ms, then a page";
            Script { what, kind: 'G', answers: vec!['a', 'p'], policy: ROOMY, seed }.check(answer)?;
            let what = "429 with Retry-After: 400 ms, then a page";
            Script { what, kind: 'G', answers: vec!['l', 'p'], policy: ROOMY, seed }.check(answer)?;
            let policy = Policy { total: ms(300), ..ROOMY };
            let what = "503 with Retry-After: 400 ms, and 300 ms in all";
            Script { what, kind: 'G', answers: vec!['a', 'p'], policy, seed }.check(answer)?;
            let policy = Policy { attempts: 9, each: ms(100), total: ms(250), first_pause: ms(10), ..ROOMY };
            let what = "no answer, ever; 100 ms each, 250 ms in all";
            Script { what, kind: 'G', answers: vec!['h'], policy, seed }.check(answer)?;
            let policy =
                Policy { attempts: 99, first_pause: ms(80), longest_pause: ms(80), total: ms(200), ..ROOMY };
            let what = "503 for ever; pauses up to 80 ms, 200 ms in all";
            Script { what, kind: 'G', answers: vec!['b'], policy, seed }.check(answer)?;
        }
        for seed in 0..200 {
            Script::drawn(seed).check(answer)?;
        }
        for after in [5, 100, 450] {
            stops(answer, ms(after))?;
        }
        Ok(())
    })
}

/// What the site answers, attempt by attempt, and how it is to be asked.
struct Script {
    what: &'static str,
    /// `G`: a GET, `P`: an order, `K`: an order with a key.
    kind: char,
    /// `p`: a page, `n`: 404, `0` to `7`: other statuses that are final, `b`: 503, `a`: 503 with a Retry-After of 400 ms, `q`: 429, `i`: 500, `r`: refused,
    /// `x`: reset, `t`: timed out below HTTP, `l`: 429 with a Retry-After of 400 ms, `h`: no answer. The last one stays.
    answers: Vec<char>,
    policy: Policy,
    seed: u64,
}

/// `0` to `7`, and `n`.
const fn final_status(kind: char) -> u16 {
    match kind {
        '0' => 300,
        '1' => 400,
        '2' => 401,
        '3' => 403,
        '4' => 409,
        '5' => 501,
        '6' => 502,
        '7' => 504,
        _ => 404,
    }
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Ends(&'static str),
    Goes { least: Duration, most: Duration },
}

impl Script {
    fn drawn(seed: u64) -> Self {
        let order = shuffled(seed, 18);
        let answers =
            order.iter().take(6).map(|n| ['b', 'x', 'i', 'r', 'h', 'a', 'q', 'p', 'n'][*n as usize % 9]);
        let of = |values: [u64; 4], at: usize| values[order[at] as usize % 4];
        let policy = Policy {
            attempts: 1 + order[6] as usize % 6,
            first_pause: ms(of([0, 10, 40, 90], 7)),
            longest_pause: ms(of([15, 60, 100, 400], 8)),
            each: ms(of([5, 25, 60, 300], 9)),
            total: ms(of([40, 150, 600, 3000], 10)),
        };
        let kind = ['G', 'K', 'P'][order[11] as usize % 3];
        Self { what: "drawn", kind, answers: answers.collect(), policy, seed }
    }

    fn request(&self) -> Request {
        let orders = self.kind != 'G';
        let key = (self.kind == 'K').then(|| String::from("order 7"));
        Request { id: 7, orders, repeatable: !orders || key.is_some(), key }
    }

    fn answer(&self, attempt: usize) -> char {
        self.answers.get(attempt).or(self.answers.last()).copied().unwrap_or('p')
    }

    fn site(&self, recorder: &Recorder) -> Site {
        let answer = |kind: &char| match kind {
            'n' | '0'..='7' => Answer::status(final_status(*kind)),
            'b' => Answer::status(503),
            'a' => Answer::status(503).retry_after(ms(400)),
            'q' => Answer::status(429),
            'i' => Answer::status(500),
            'r' => Answer::broken(NetworkError::Refused),
            'x' => Answer::broken(NetworkError::Reset),
            't' => Answer::broken(NetworkError::TimedOut),
            'l' => Answer::status(429).retry_after(ms(400)),
            'h' => Answer::hang(),
            _ => Answer::page("a page"),
        };
        Site::new(recorder).on(7, self.answers.iter().map(answer))
    }

    /// The failure of an attempt that ended like this.
    fn failure(&self, attempt: usize, call: &Call) -> Failure {
        match (self.answer(attempt), call.ended) {
            (_, Some((_, CallEnd::Dropped))) => Failure::TimedOut,
            (kind @ ('n' | '0'..='7'), _) => Failure::Status(final_status(kind)),
            ('b' | 'a', _) => Failure::Status(503),
            ('q' | 'l', _) => Failure::Status(429),
            ('i', _) => Failure::Status(500),
            ('r', _) => Failure::Network(NetworkError::Refused),
            ('t', _) => Failure::Network(NetworkError::TimedOut),
            _ => Failure::Network(NetworkError::Reset),
        }
    }

    fn next(&self, attempt: usize, failure: &Failure) -> Next {
        let unsent = matches!(failure, Failure::Status(429 | 503) | Failure::Network(NetworkError::Refused));
        if matches!(failure, Failure::Status(status) if !matches!(status, 429 | 500 | 503)) {
            Next::Ends("final")
        } else if !self.request().repeatable && !unsent {
            Next::Ends("once")
        } else if attempt + 1 >= self.policy.attempts {
            Next::Ends("attempts")
        } else {
            let asked_for = matches!(self.answer(attempt), 'a' | 'l') && *failure != Failure::TimedOut;
            let least = if asked_for { ms(400) } else { Duration::ZERO };
            Next::Goes { least, most: least + self.policy.ceiling(attempt) }
        }
    }

    fn name(&self) -> String {
        if self.what != "drawn" {
            return format!("{}; {} attempts at most", self.what, self.policy.attempts);
        }
        let word = |kind: &char| match kind {
            'n' => "404",
            'b' => "503",
            'a' => "503 with Retry-After: 400 ms",
            'q' => "429",
            'i' => "500",
            'r' => "refused",
            'x' => "reset",
            'h' => "no answer",
            _ => "a page",
        };
        let what = match self.kind {
            'G' => "a page",
            'K' => "an order with a key",
            _ => "an order",
        };
        let answers: Vec<&str> = self.answers.iter().map(word).collect();
        let Policy { attempts, each, total, .. } = self.policy;
        let (each, total) = (time(each), time(total));
        format!("{what}: {}; {attempts} attempts, each {each}, all {total}", answers.join(", "))
    }

    fn check(&self, answer: Answers<'_>) -> Checked {
        let case = Case::run(self.name(), async |recorder: Recorder| {
            let site = self.site(&recorder);
            let client = Client::new(&site);
            let sent = answer(client, self.request(), self.policy, Jitter(self.seed)).await;
            let returned = recorder.now();
            // Aborted tasks go when the scheduler next looks at them.
            tasks_left().await;
            sleep(ms(5000)).await;
            (sent, returned, site)
        })
        .map_err(breaks(
            Kind::Leak,
            "each",
            "an attempt whose time is over is dropped, and so is its task",
        ))?;
        let (sent, returned, site) = &case.value;
        let (calls, policy) = (site.calls(), self.policy);
        case.rule(
            "attempts",
            calls.len() <= policy.attempts && !calls.is_empty(),
            format!("1 to {} requests", policy.attempts),
            format!("{} requests", calls.len()),
        )?;
        if let Ok(response) = sent {
            let seen = format!("`Ok` with status {}", response.status);
            case.rule("final", response.is_success(), "`Ok` for a status of success only", seen)?;
        }
        let mut failures = Vec::new();
        for (at, call) in calls.iter().enumerate() {
            let (ended, how) = call.ended.unwrap_or((Duration::MAX, CallEnd::Dropped));
            self.in_its_limits(&case, call, ended)?;
            if self.answer(at) == 'p' && how != CallEnd::Dropped {
                let more = calls.len() - at - 1;
                case.rule("final", more == 0, "no request after a success", format!("{more} more"))?;
                case.rule(
                    "final",
                    *returned == ended && sent.is_ok(),
                    "the page, at once",
                    self.seen(sent, *returned),
                )?;
                return self.sent_as_given(&case, site);
            }
            let failure = self.failure(at, call);
            let next = self.next(at, &failure);
            failures.push(failure);
            match (next, calls.get(at + 1)) {
                (Next::Ends(rule), Some(_)) => {
                    let end = format!("no request after `{:?}`, number {}", failures[at], at + 1);
                    return case.rule(
                        rule,
                        false,
                        end,
                        format!("one more, at {}", time(calls[at + 1].started)),
                    );
                }
                (Next::Goes { least, most }, Some(next)) => {
                    self.paused_well(&case, next.started.saturating_sub(ended), least, most)?;
                }
                (Next::Ends(rule), None) => {
                    // After the last attempt, a wait is a pause too many.
                    let rule = if rule == "attempts" { "pauses" } else { rule };
                    let at_once = format!("the end at once, at {}", time(ended));
                    case.rule(rule, *returned == ended, at_once, format!("the end at {}", time(*returned)))?;
                }
                (Next::Goes { least, most }, None) => {
                    self.may_end(&case, ended, *returned, least, most, at)?;
                }
            }
        }
        self.sent_as_given(&case, site)?;
        case.rule(
            "tells-all",
            sent.as_ref().err() == Some(&failures),
            format!("{failures:?}"),
            format!("{sent:?}"),
        )
    }

    /// Whether an attempt was dropped when its time was over, and not before.
    fn in_its_limits<T>(&self, case: &Case<T>, call: &Call, ended: Duration) -> Checked {
        let Policy { each, total, .. } = self.policy;
        let left = total.saturating_sub(call.started);
        let started = time(call.started);
        case.rule(
            "total",
            !left.is_zero(),
            format!("no request after {}", time(total)),
            format!("one at {started}"),
        )?;
        let (rule, limit) = if left < each { ("total", left) } else { ("each", each) };
        let took = ended - call.started;
        let within = format!("an attempt of {} at most, begun at {started}", time(limit));
        let seen = if ended == Duration::MAX {
            String::from("one without end")
        } else {
            format!("one of {}", time(took))
        };
        case.rule(rule, took <= limit, within, seen)?;
        let dropped = matches!(call.ended, Some((_, CallEnd::Dropped)));
        let within = format!("{} for an attempt that was begun at {started}", time(limit));
        case.rule(rule, !dropped || took == limit, within, format!("it was dropped after {}", time(took)))
    }

    fn paused_well<T>(&self, case: &Case<T>, pause: Duration, least: Duration, most: Duration) -> Checked {
        let (from, to) = (time(least), time(most));
        let seen = format!("a pause of {}", time(pause));
        let rule = if least.is_zero() { "pauses" } else { "retry-after" };
        case.rule("retry-after", pause >= least, format!("a pause of {from} at least"), &seen)?;
        // A timer may be late by its grain.
        case.rule(rule, pause <= most + ms(1), format!("a pause of {to} at most"), seen)
    }

    /// It ended although there were attempts left: that is right if no time would have been left after the pause.
    fn may_end<T>(
        &self,
        case: &Case<T>,
        ended: Duration,
        returned: Duration,
        least: Duration,
        most: Duration,
        attempt: usize,
    ) -> Checked {
        let total = self.policy.total;
        let number = attempt + 2;
        let wanted = format!("request number {number}, {} after the failure at most", time(most));
        let seen = format!("the end at {}", time(returned));
        // Of a pause that may be too long nobody knows but who has drawn it.
        let rule = if least.is_zero() { "attempts" } else { "retry-after" };
        case.rule(rule, ended + most >= total, wanted, &seen)?;
        let at_once = format!("the end at once, at {}: after the pause nothing would remain", time(ended));
        case.rule("total", returned == ended, at_once, seen)
    }

    fn sent_as_given<T>(&self, case: &Case<T>, site: &Site) -> Checked {
        let wanted = self.request().key;
        let wrong = site.requests().into_iter().find(|request| request.key != wanted);
        let seen = wrong.map(|request| format!("one with {:?}", request.key)).unwrap_or_default();
        case.rule("once", seen.is_empty(), format!("every request with the key {wanted:?}"), seen)?;
        let orders = site.orders(7);
        case.rule("once", orders <= 1, "one order", format!("{orders} orders"))
    }

    fn seen(&self, sent: &Sent, returned: Duration) -> String {
        let what = if sent.is_ok() { "the page" } else { "a failure" };
        format!("{what} at {}", time(returned))
    }
}

impl Policy {
    fn ceiling(&self, attempt: usize) -> Duration {
        (0..attempt).fold(self.first_pause, |pause, _| pause.saturating_mul(2)).min(self.longest_pause)
    }
}

/// Many clients that fail at the same moment: when do they come back?
fn spreads_its_pauses(answer: Answers<'_>, asked_for: Duration) -> Checked {
    const CLIENTS: u32 = 120;
    let policy = Policy { attempts: 4, first_pause: ms(200), longest_pause: ms(400), ..ROOMY };
    let (busy, with, on_top) = if asked_for.is_zero() {
        (Answer::status(503), String::new(), "")
    } else {
        let with = format!(" with Retry-After: {}", time(asked_for));
        (Answer::status(503).retry_after(asked_for), with, " on top of it")
    };
    let name = format!(
        "{CLIENTS} clients, 503{with} at the same moment, pauses of 200, 400, 400 ms at most{on_top}"
    );
    let case = Case::run(name, async |recorder| {
        // So many lanes are no picture; what is told is enough.
        let unseen = Recorder::new("");
        let clients: FuturesUnordered<_> = (0..CLIENTS)
            .map(|client| {
                let site = Site::new(if client < 3 { &recorder } else { &unseen }).on(7, [busy.clone()]);
                let request = Request { id: 7, orders: false, key: None, repeatable: true };
                let sent = answer(Client::new(&site), request, policy, Jitter(client.into()));
                sent.map(move |_| site.calls())
            })
            .collect();
        let calls = clients.collect::<Vec<_>>().await;
        // Of each client, what it waited longer than it was asked to.
        let pauses = |calls: &Vec<Call>| {
            let pause = |pair: &[Call]| {
                let ended = pair[0].ended.map_or(pair[0].started, |(at, _)| at);
                pair[1].started.saturating_sub(ended + asked_for)
            };
            calls.windows(2).map(pause).collect::<Vec<_>>()
        };
        calls.iter().map(pauses).collect::<Vec<_>>()
    })?;
    let jitter = if asked_for.is_zero() { "jitter" } else { "retry-after" };
    for n in 0..policy.attempts - 1 {
        let pauses: Vec<Duration> = case.value.iter().filter_map(|pauses| pauses.get(n)).copied().collect();
        let ceiling = policy.ceiling(n);
        let longest = pauses.iter().max().copied().unwrap_or_default();
        let shortest = pauses.iter().min().copied().unwrap_or_default();
        let number = n + 1;
        let seen = format!(
            "pause {number} of {CLIENTS} clients: {} to {}",
            time(asked_for + shortest),
            time(asked_for + longest)
        );
        // That so many draws all miss a fifth has a chance of one in 400 billions.
        let kept = longest >= ceiling * 4 / 5;
        // Where all pauses are equal it is not the growth that is missing.
        let rule = if longest == shortest || n == 0 { jitter } else { "pauses" };
        let wanted = if asked_for.is_zero() {
            format!("pause {number}: anything up to {}", time(ceiling))
        } else {
            format!("pause {number}: {}, and on top anything up to {}", time(asked_for), time(ceiling))
        };
        case.rule(rule, kept, &wanted, &seen)?;
        case.rule(jitter, shortest <= ceiling / 5, &wanted, seen)?;
        let mut quarters = [0; 4];
        for pause in &pauses {
            quarters[((pause.as_millis() * 4 / (ceiling.as_millis() + 1)) as usize).min(3)] += 1;
        }
        // Of 120 draws 30 fall into a quarter; fewer than 10, or more than 50, in one case of 30,000.
        case.rule(
            jitter,
            quarters.iter().all(|count| (10..=50).contains(count)),
            format!("{wanted}, with about a quarter of the clients in each quarter of it"),
            format!("{quarters:?} of {CLIENTS} clients in its quarters"),
        )?;
    }
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let share = |pauses: &[Duration], n: usize| {
            Some(pauses.get(n)?.as_secs_f64() / policy.ceiling(n).as_secs_f64())
        };
        let same = |pauses: &&Vec<Duration>| {
            share(pauses, one)
                .zip(share(pauses, other))
                .is_some_and(|(one, other)| (one - other).abs() < 0.02)
        };
        let same = case.value.iter().filter(same).count();
        // Two draws are so near to each other in 4 cases of 100.
        case.rule(
            jitter,
            same <= 40,
            format!("pause {} drawn anew, and not the same share as in pause {}", other + 1, one + 1),
            format!("the same share in {same} of {CLIENTS} clients"),
        )?;
    }
    Ok(())
}

fn stops(answer: Answers<'_>, after: Duration) -> Checked {
    let case =
        Case::run(format!("no answer, 200 ms each, dropped after {}", time(after)), async |recorder| {
            let site = Site::new(&recorder).on(7, [Answer::hang()]);
            let policy =
                Policy { attempts: 9, each: ms(200), first_pause: ms(40), longest_pause: ms(40), ..ROOMY };
            let request = Request { id: 7, orders: false, key: None, repeatable: true };
            let work = answer(Client::new(&site), request, policy, Jitter(1));
            let ended = timeout(after, work).await.is_ok();
            let made = site.calls().len();
            tasks_left().await;
            let running = site.in_flight();
            sleep(ms(5000)).await;
            (ended, running, site.calls().len() - made)
        })?;
    let (ended, running, more) = case.value;
    case.rule("attempts", !ended, "9 attempts of 200 ms", format!("an end within {}", time(after)))?;
    nothing_runs_on(&case, "stops", running, more)
}
