//! What is verified on any answer to `http_client`.

use common::{
    Recorder, Verdict,
    draw::time,
    http::{CONNECT, Host, Page},
    verdict::{Finding, Kind},
    web::NetworkError,
};
use futures_util::future::{BoxFuture, join_all};
use std::{fmt, sync::Arc, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict, without_folders},
    every_await,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::time::{Instant, sleep, timeout};

/// What a catalogue may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Requests in flight at once.
    pub(crate) in_flight: usize,
    /// How long a call waits for its turn.
    pub(crate) wait: Duration,
    /// How long a call may take, the wait and the body included.
    pub(crate) total: Duration,
    /// The largest body that is taken.
    pub(crate) body_bytes: usize,
}

/// Why there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was not its turn in time.
    Busy,
    /// It was not over in time.
    TimedOut,
    /// The status is no success.
    Status(u16),
    /// The body is larger than what is taken.
    TooLarge,
    /// There was no response, or not all of it.
    Network(NetworkError),
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

type Ended = Result<String, Failure>;

pub(crate) trait Catalogue: Send + Sync {
    fn item(&self, id: u32) -> BoxFuture<'_, Ended>;
    fn order(&self, id: u32) -> BoxFuture<'_, Ended>;
    fn alive(&self) -> BoxFuture<'_, Result<(), Failure>>;
}
/// Opens one.
type Open<'a> = &'a dyn Fn(&Host, Limits) -> Arc<dyn Catalogue>;

/// Opens the catalogues of a module.
macro_rules! catalogues {
    ($($module:ident)::+) => {{
        struct Theirs($($module)::+::Catalogue);
        impl check::Catalogue for Theirs {
            fn item(&self, id: u32) -> futures_util::future::BoxFuture<'_, Result<String, check::Failure>> {
                Box::pin(self.0.item(id))
            }
            fn order(&self, id: u32) -> futures_util::future::BoxFuture<'_, Result<String, check::Failure>> {
                Box::pin(self.0.order(id))
            }
            fn alive(&self) -> futures_util::future::BoxFuture<'_, Result<(), check::Failure>> {
                Box::pin(self.0.alive())
            }
        }
        &|host, limits| std::sync::Arc::new(Theirs($($module)::+::Catalogue::new(host, limits)))
    }};
}
pub(crate) use catalogues;

/// One call of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Item(u32),
    Order(u32),
    Alive,
}

impl Ask {
    const KINDS: [Self; 3] = [Self::Item(7), Self::Order(7), Self::Alive];

    fn path(self) -> String {
        match self {
            Self::Item(id) => format!("/items/{id}"),
            Self::Order(id) => format!("/orders/{id}"),
            Self::Alive => String::from("/health"),
        }
    }

    async fn of(self, catalogue: &dyn Catalogue) -> Ended {
        match self {
            Self::Item(id) => catalogue.item(id).await,
            Self::Order(id) => catalogue.order(id).await,
            Self::Alive => catalogue.alive().await.map(|()| String::new()),
        }
    }

    /// What it gives when the host answers with this body.
    fn gives(self, body: &str) -> Ended {
        Ok(if self == Self::Alive { String::new() } else { body.to_owned() })
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(id) => write!(f, "item({id})"),
            Self::Order(id) => write!(f, "order({id})"),
            Self::Alive => f.write_str("alive()"),
        }
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(3);

const LIMITS: [Limits; 2] = [
    Limits { in_flight: 3, wait: ms(100), total: ms(400), body_bytes: 1000 },
    Limits { in_flight: 5, wait: ms(60), total: ms(250), body_bytes: 300 },
];

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        for limits in LIMITS {
            for seed in 1..=3 {
                in_turn(open, limits, seed, "a word each", &|body, n| {
                    Page::new([200, 201, 202][n % 3], body)
                })?;
                in_turn(open, limits, seed, "some of them no success", &|body, n| {
                    Page::new([200, 404, 503, 302, 500][n % 5], body)
                })?;
                in_turn(open, limits, seed, "bodies in pieces", &|body, _| {
                    Page::new(200, body).in_pieces(4, ms(3))
                })?;
                in_turn(open, limits, seed, "errors with bodies in pieces", &|body, n| {
                    Page::new([200, 503, 400][n % 3], body).in_pieces(3, ms(3)).of_untold_length()
                })?;
            }
            for ask in Ask::KINDS {
                broken(open, limits, ask)?;
                silent(open, limits, ask)?;
                large(open, limits, ask)?;
                afterwards(open, limits, ask)?;
            }
            at_once(open, limits)?;
            busy(open, limits)?;
            waits_and_hangs(open, limits)?;
            dropped(open, limits)?;
        }
        dropped_at_every_await(open)?;
        for seed in 0..60 {
            Day::drawn(seed).check(open)?;
        }
        Ok(())
    })
}

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    ended: Ended,
    took: Duration,
}

/// Makes a call, and takes the time.
async fn call(catalogue: &dyn Catalogue, ask: Ask) -> Seen {
    let start = Instant::now();
    let ended = ask.of(catalogue).await;
    Seen { ended, took: start.elapsed() }
}

/// In the words of a learner's code.
fn told(ended: &Ended) -> String {
    match ended {
        Ok(body) if body.len() > 40 => format!("Ok, {} bytes", body.len()),
        Ok(body) => format!("Ok({body:?})"),
        Err(failure) => format!("Err({failure:?})"),
    }
}

fn connections(count: usize) -> String {
    if count == 1 { String::from("1 connection") } else { format!("{count} connections") }
}

fn requests(count: usize) -> String {
    if count == 1 { String::from("1 request") } else { format!("{count} requests") }
}

/// Nine calls, one after the other.
fn in_turn(
    open: Open<'_>,
    limits: Limits,
    seed: u64,
    what: &str,
    page: &dyn Fn(String, usize) -> Page,
) -> Checked {
    let mut asks: Vec<Ask> = shuffled(seed, 8).into_iter().map(Ask::Item).collect();
    asks[3] = Ask::Order(3);
    asks[5] = Ask::Order(9);
    asks.insert(1, Ask::Alive);
    let bodies: Vec<String> = (0..asks.len()).map(|n| format!("body {n} of {seed}")).collect();
    let pages: Vec<Page> = (0..).zip(&bodies).map(|(n, body)| page(body.clone(), n)).collect();
    let case = Case::run(format!("9 calls in turn, {what}"), async |recorder| {
        let mut host = Host::new(&recorder);
        for (ask, page) in asks.iter().zip(&pages) {
            host = host.on(&ask.path(), [page.clone()]);
        }
        let catalogue = open(&host, limits);
        let mut seen = Vec::new();
        for ask in &asks {
            seen.push(call(&*catalogue, *ask).await.ended);
        }
        (seen, host.connections(), host.requests().len())
    })
    .map_err(breaks(
        Kind::Deadlock,
        "reuse",
        "a call that comes after another finds its place and its connection free",
    ))?;
    let (seen, opened, sent) = &case.value;
    for (n, ask) in asks.iter().enumerate() {
        let status = pages[n].status();
        let place = "a call in turn finds a place: whoever was before it has given it back";
        case.rule(
            "in-flight",
            seen[n] != Err(Failure::Busy),
            place,
            format!("{ask} gives {}", told(&seen[n])),
        )?;
        if (200..300).contains(&status) {
            let wanted = ask.gives(&bodies[n]);
            let rule = if seen[n] == Err(Failure::Status(status)) { "status" } else { "whole" };
            let expected = format!("the host answers {status}, and {ask} gives {}", told(&wanted));
            case.rule(rule, seen[n] == wanted, expected, told(&seen[n]))?;
        } else {
            let wanted = Err(Failure::Status(status));
            let rule = "status";
            case.rule(
                rule,
                seen[n] == wanted,
                format!("the host answers {status}, and {ask} gives {}", told(&wanted)),
                told(&seen[n]),
            )?;
        }
    }
    case.rule("once", *sent == 9, "9 requests", requests(*sent))?;
    case.rule("reuse", *opened == 1, "1 connection for 9 calls in turn", connections(*opened))
}

/// The connection breaks before the head, or in the body.
fn broken(open: Open<'_>, limits: Limits, ask: Ask) -> Checked {
    let reset = Failure::Network(NetworkError::Reset);
    for (when, page, failure) in [
        ("before the head", Page::new(200, "lamp").resets(), reset),
        ("in the body", Page::new(200, "lamp").in_pieces(4, ms(2)).breaks(), reset),
        ("in the body of a 503", Page::new(503, "lamp").in_pieces(4, ms(2)).breaks(), Failure::Status(503)),
    ] {
        let case = Case::run(format!("{ask}, whose connection breaks {when}"), async |recorder| {
            let host = Host::new(&recorder).on(&ask.path(), [page.clone(), Page::new(200, "lamp")]);
            let catalogue = open(&host, limits);
            let seen = call(&*catalogue, ask).await;
            sleep(ms(2000)).await;
            (seen, host.requests().len())
        })?;
        let (seen, sent) = &case.value;
        case.rule("once", *sent == 1, "1 request: nobody knows what the host has done", requests(*sent))?;
        let wanted = Err(failure);
        case.rule(
            if failure == reset { "whole" } else { "status" },
            seen.ended == wanted,
            format!("{ask} gives {}", told(&wanted)),
            told(&seen.ended),
        )?;
    }
    Ok(())
}

/// The host is slow, or says nothing.
fn silent(open: Open<'_>, limits: Limits, ask: Ask) -> Checked {
    let Limits { total, .. } = limits;
    let body = "0123456789";
    // In time, if only just: whoever has a limit of half as much, or one for each part, is seen here.
    let in_time = total - CONNECT - ms(20);
    for (what, page) in [
        ("a head that comes late, but in time", Page::new(200, body).after(in_time)),
        (
            "a body that comes slowly, but in time",
            Page::new(200, body).after(ms(0)).in_pieces(10, in_time / 10),
        ),
    ] {
        let case =
            one(open, limits, ask, what, page).map_err(breaks(Kind::Deadlock, "time", "the call ends"))?;
        let wanted = ask.gives(body);
        case.rule(
            "time",
            case.value.0.ended == wanted,
            format!("{ask} gives {}: it takes less than {}", told(&wanted), time(total)),
            format!("{} after {}", told(&case.value.0.ended), time(case.value.0.took)),
        )?;
    }
    for (what, page) in [
        ("a head that does not come", Page::new(200, body).hangs()),
        ("a body that stops half-way", Page::new(200, body).in_pieces(4, ms(10)).stalls()),
        ("a body that trickles for 20 s", Page::new(200, body.repeat(20)).in_pieces(200, ms(100))),
        ("an error, and a body that stops half-way", Page::new(503, body).in_pieces(4, ms(10)).stalls()),
    ] {
        let is_error = page.status() == 503;
        let case = one(open, limits, ask, what, page)
            .map_err(breaks(Kind::Deadlock, "time", "the call ends, although the host says nothing more"))
            .map_err(breaks(Kind::Leak, "time", "a request that has timed out is given up then"))?;
        let (Seen { ended, took }, in_flight, sent) = &case.value;
        let wanted: &[Ended] = if is_error {
            &[Err(Failure::Status(503)), Err(Failure::TimedOut)]
        } else {
            &[Err(Failure::TimedOut)]
        };
        let wants: Vec<String> = wanted.iter().map(told).collect();
        let in_time = *took <= total + GRAIN && (is_error || *took + GRAIN >= total);
        case.rule(
            "time",
            wanted.contains(ended) && in_time,
            format!("{ask} gives {} at {}", wants.join(" or "), time(total)),
            format!("{} at {}", told(ended), time(*took)),
        )?;
        case.rule(
            "time",
            *in_flight == 0,
            "a request that has timed out is given up then",
            format!("{} in flight, after the call had ended", requests(*in_flight)),
        )?;
        case.rule("once", *sent == 1, "1 request: nobody knows what the host has done", requests(*sent))?;
    }
    Ok(())
}

/// One call, and what the host saw of it: how many requests were in flight when it had ended, and how many had come later.
fn one(
    open: Open<'_>,
    limits: Limits,
    ask: Ask,
    what: &str,
    page: Page,
) -> Checked<Case<(Seen, usize, usize)>> {
    Case::run(format!("{ask}; {what}"), async |recorder| {
        let host = Host::new(&recorder).on(&ask.path(), [page]);
        let catalogue = open(&host, limits);
        let seen = call(&*catalogue, ask).await;
        // What is aborted goes when the scheduler next looks at it.
        tasks_left().await;
        let in_flight = host.in_flight();
        sleep(ms(2000)).await;
        (seen, in_flight, host.requests().len())
    })
}

/// Bodies about as large as what is taken, and larger.
fn large(open: Open<'_>, limits: Limits, ask: Ask) -> Checked {
    let most = limits.body_bytes;
    for (bytes, status, is_told, letter) in [
        (most, 200, true, "x"),
        (most, 200, false, "x"),
        (most + 1, 200, true, "x"),
        (most + 1, 200, false, "x"),
        (most * 5, 200, true, "x"),
        (most * 5, 200, false, "x"),
        (most * 5, 500, true, "x"),
        (most * 5, 500, false, "x"),
        // Two bytes each.
        (most, 200, false, "\u{e9}"),
        (most + 2, 200, false, "\u{e9}"),
    ] {
        let letters = bytes / letter.len();
        let body = letter.repeat(letters);
        let page = Page::new(status, body.clone()).in_pieces(50, ms(1));
        let page = if is_told { page } else { page.of_untold_length() };
        let length = if is_told { "that says so" } else { "of untold length" };
        let name = format!(
            "{ask}; status {status}, a body of {letters} times {letter:?}, {bytes} bytes, {length}; {most} are taken"
        );
        let case = Case::run(name, async |recorder| {
            let host = Host::new(&recorder).on(&ask.path(), [page.clone()]);
            let catalogue = open(&host, limits);
            let seen = call(&*catalogue, ask).await;
            sleep(ms(2000)).await;
            (seen.ended, host.taken(), host.open())
        })?;
        let (ended, taken, open) = &case.value;
        let wanted = match status {
            500 => vec![Err(Failure::Status(500))],
            _ if bytes <= most => vec![ask.gives(&body)],
            // Whether the catalogue is well, the head has said.
            _ if ask == Ask::Alive => vec![Err(Failure::TooLarge), ask.gives("")],
            _ => vec![Err(Failure::TooLarge)],
        };
        let wants: Vec<String> = wanted.iter().map(told).collect();
        let rule = if status == 500 { "status" } else { "size" };
        case.rule(rule, wanted.contains(ended), format!("{ask} gives {}", wants.join(" or ")), told(ended))?;
        let piece = letters.div_ceil(50) * letter.len();
        case.rule(
            "size",
            *taken <= most + piece,
            format!("at most {most} bytes are read, and the piece that was one too many"),
            format!("{taken} bytes are read"),
        )?;
        let kept = bytes > most || *open == 1;
        let seen = "it is closed";
        case.rule("reuse", kept, "the connection is kept, for the body fits and was read", seen)?;
    }
    Ok(())
}

/// What has failed takes nothing from those that come after it.
fn afterwards(open: Open<'_>, limits: Limits, ask: Ask) -> Checked {
    let most = limits.in_flight;
    let large = "x".repeat(2 * limits.body_bytes);
    for (what, page) in [
        ("a head that does not come", Page::new(200, "lamp").hangs()),
        ("a body that stops half-way", Page::new(200, "lamp").in_pieces(4, ms(10)).stalls()),
        ("a connection that breaks before the head", Page::new(200, "lamp").resets()),
        ("a connection that breaks in the body", Page::new(200, "lamp").in_pieces(4, ms(2)).breaks()),
        ("a body that is too large, and says so", Page::new(200, large.clone()).in_pieces(4, ms(2))),
        ("a body that is too large", Page::new(200, large).in_pieces(4, ms(2)).of_untold_length()),
        ("a status of 503", Page::new(503, "out of order")),
    ] {
        let name = format!("{ask}, {most} at once, twice; each finds {what}. Then {most} that find a lamp");
        let case = Case::run(name, async |recorder| {
            let mut pages = vec![page.clone(); 2 * most];
            pages.push(Page::new(200, "lamp"));
            let host = Host::new(&recorder).on(&ask.path(), pages);
            let catalogue = open(&host, limits);
            for _ in 0..2 {
                join_all((0..most).map(|_| call(&*catalogue, ask))).await;
                // What is aborted goes when the scheduler next looks at it.
                tasks_left().await;
            }
            join_all((0..most).map(|_| call(&*catalogue, ask))).await
        })
        .map_err(breaks(
            Kind::Deadlock,
            "in-flight",
            "a call that has failed has given its place back",
        ))?;
        let seen = &case.value;
        let wanted = ask.gives("lamp");
        let best = CONNECT + ms(10);
        let answered = seen.iter().filter(|seen| seen.ended == wanted).count();
        let slowest = seen.iter().map(|seen| seen.took).max().unwrap_or_default();
        let other = seen.iter().find(|seen| seen.ended != wanted).map(|seen| &seen.ended);
        case.rule(
            "in-flight",
            answered == most && slowest <= best + GRAIN,
            format!(
                "those that have failed have given their places back: the last {most} give {} within {}",
                told(&wanted),
                time(best)
            ),
            format!(
                "{answered} do{}, the last after {}",
                other.map_or_else(String::new, |ended| format!(", another gives {}", told(ended))),
                time(slowest)
            ),
        )?;
    }
    Ok(())
}

/// Twice as many calls as there may be requests, when all connections are open already.
fn at_once(open: Open<'_>, limits: Limits) -> Checked {
    let (most, calls) = (limits.in_flight, 2 * limits.in_flight);
    let page = Page::new(200, "lamp").in_pieces(2, ms(20));
    let name = format!("{calls} calls at once, {most} in flight; 10 ms to the head, 40 ms for the body");
    let case = Case::run(name, async |recorder| {
        let host = Host::new(&recorder)
            .on("/items/1", [Page::new(200, "warm")])
            .on("/items/7", [page.clone()])
            .on("/orders/7", [page.clone()])
            .on("/health", [page]);
        let catalogue = open(&host, limits);
        join_all((0..most).map(|_| call(&*catalogue, Ask::Item(1)))).await;
        let asks = (0..calls).map(|n| call(&*catalogue, Ask::KINDS[n % 3]));
        let start = Instant::now();
        let seen = join_all(asks).await;
        (seen, start.elapsed(), host.peak(), host.connections())
    })?;
    let (seen, took, peak, opened) = &case.value;
    case.rule(
        "in-flight",
        *peak <= most,
        format!("at most {most} requests in flight, each until its body was read"),
        format!("{peak} in flight"),
    )?;
    let hasty = seen.iter().find(|seen| seen.ended == Err(Failure::Busy) && seen.took + GRAIN < limits.wait);
    if let Some(hasty) = hasty {
        let wanted = format!("a call waits {} for its turn, before it gives Err(Busy)", time(limits.wait));
        case.rule("busy", false, wanted, format!("Err(Busy) after {}", time(hasty.took)))?;
    }
    for (n, seen) in seen.iter().enumerate().filter(|(_, seen)| seen.ended != Err(Failure::Busy)) {
        let wanted = Ask::KINDS[n % 3].gives("lamp");
        case.rule("whole", seen.ended == wanted, told(&wanted), told(&seen.ended))?;
    }
    // Two rounds.
    let best = 2 * ms(50);
    let answered = seen.iter().filter(|seen| seen.ended.is_ok()).count();
    case.rule(
        "in-flight",
        *peak == most && *took <= best + GRAIN && answered == calls,
        format!("{most} in flight as long as there is work: {calls} answers in {}", time(best)),
        format!("at most {peak} in flight, {answered} answers in {}", time(*took)),
    )?;
    case.rule("reuse", *opened == most, connections(most), connections(*opened))
}

/// Many more calls than places, and answers that take their time.
fn busy(open: Open<'_>, limits: Limits) -> Checked {
    let calls = 4 * limits.in_flight;
    let takes = limits.wait + ms(50);
    let name =
        format!("{calls} calls at once, {} in flight; an answer takes {}", limits.in_flight, time(takes));
    let case = Case::run(name, async |recorder| {
        let host = Host::new(&recorder).on("/items/7", [Page::new(200, "lamp").after(takes)]);
        let catalogue = open(&host, limits);
        let seen = join_all((0..calls).map(|_| call(&*catalogue, Ask::Item(7)))).await;
        (seen, host.peak(), host.requests().len())
    })?;
    let (seen, peak, sent) = &case.value;
    let most = limits.in_flight;
    case.rule(
        "in-flight",
        *peak <= most,
        format!("at most {most} requests in flight"),
        format!("{peak} in flight"),
    )?;
    let busy: Vec<&Seen> = seen.iter().filter(|seen| seen.ended == Err(Failure::Busy)).collect();
    let answered = seen.iter().filter(|seen| seen.ended.is_ok()).count();
    case.rule(
        "busy",
        busy.len() == calls - most && answered == most && *sent == most,
        format!("{most} answers, {} times Err(Busy), and {} sent", calls - most, requests(most)),
        format!("{answered} answers, {} times Err(Busy), and {} sent", busy.len(), requests(*sent)),
    )?;
    let off = busy.iter().find(|seen| seen.took > limits.wait + GRAIN || seen.took + GRAIN < limits.wait);
    case.rule(
        "busy",
        off.is_none(),
        format!("Err(Busy) after {}", time(limits.wait)),
        format!("after {}", off.map_or_else(String::new, |seen| time(seen.took))),
    )
}

/// A call that has waited for its turn, and then for an answer that does not come.
fn waits_and_hangs(open: Open<'_>, limits: Limits) -> Checked {
    let waits = limits.wait - ms(10);
    let name =
        format!("a call that waits {} for its turn, and then for an answer that does not come", time(waits));
    let page = Page::new(200, "lamp").after(waits - CONNECT);
    let case = Case::run(name, async |recorder| {
        let host = Host::new(&recorder).on("/items/1", [page]).on("/items/7", [Page::new(200, "").hangs()]);
        let catalogue = open(&host, limits);
        let others = join_all((0..limits.in_flight).map(|_| call(&*catalogue, Ask::Item(1))));
        let late = async {
            sleep(ms(1)).await;
            call(&*catalogue, Ask::Item(7)).await
        };
        tokio::join!(others, late).1
    })
    .map_err(breaks(Kind::Deadlock, "time", "the call ends"))?;
    let Seen { ended, took } = &case.value;
    let (least, most) = (limits.total.saturating_sub(GRAIN), limits.total + GRAIN);
    case.rule(
        "time",
        *ended == Err(Failure::TimedOut) && (least..=most).contains(took),
        format!("Err(TimedOut) {} after the call, the wait included", time(limits.total)),
        format!("{} after {}", told(ended), time(*took)),
    )
}

/// A call is dropped: while it connects, waits for the head, reads the body, waits for its turn.
fn dropped(open: Open<'_>, limits: Limits) -> Checked {
    for (ask, after, waits) in [
        (Ask::Item(7), 5, false),
        (Ask::Item(7), 30, false),
        (Ask::Item(7), 70, false),
        (Ask::Order(7), 30, false),
        (Ask::Order(7), 70, false),
        (Ask::Alive, 30, false),
        (Ask::Alive, 70, false),
        (Ask::Item(7), 30, true),
    ] {
        let when = if waits { ", while it waits for its turn" } else { "" };
        let name = format!(
            "{ask}, dropped after {}{when}; then {} calls at once",
            time(ms(after)),
            limits.in_flight
        );
        let case = Case::run(name, async |recorder| {
            let slow = Page::new(200, "lamp").after(ms(30)).in_pieces(4, ms(20));
            let host = Host::new(&recorder)
                .on(&ask.path(), [slow])
                .on("/items/1", [Page::new(200, "chair").after(ms(40)).in_pieces(2, ms(10))])
                .on("/items/2", [Page::new(200, "shelf").after(ms(40))]);
            let catalogue = open(&host, limits);
            let others = async {
                if waits {
                    join_all((0..limits.in_flight).map(|_| call(&*catalogue, Ask::Item(1)))).await;
                }
            };
            let dropped = async {
                drop(timeout(ms(after), ask.of(&*catalogue)).await);
                tasks_left().await;
                host.requests()
                    .iter()
                    .filter(|it| it.line.ends_with(&ask.path()) && it.ended.is_none())
                    .count()
            };
            let ((), runs_on) = tokio::join!(others, dropped);
            sleep(ms(500)).await;
            let before = host.requests().iter().filter(|request| request.line.ends_with(&ask.path())).count();
            let all = join_all((0..limits.in_flight).map(|_| call(&*catalogue, Ask::Item(2)))).await;
            let slowest = all.iter().map(|seen| seen.took).max().unwrap_or_default();
            (runs_on, before, slowest, all)
        })
        .map_err(breaks(
            Kind::Deadlock,
            "dropped",
            "the place of a call that was dropped is free",
        ))?;
        let (runs_on, sent, slowest, all) = &case.value;
        let began = usize::from(!waits && after > 20);
        case.rule(
            "dropped",
            *runs_on == 0 && *sent == began,
            format!("{} sent, and given up with the call", requests(began)),
            format!("{} sent, {} in flight after the drop", requests(*sent), requests(*runs_on)),
        )?;
        let answered = all.iter().filter(|seen| seen.ended == Ok(String::from("shelf"))).count();
        let best = CONNECT + ms(40);
        case.rule(
            "dropped",
            answered == limits.in_flight && *slowest <= best + GRAIN,
            format!("{} answers, all at once, within {}", limits.in_flight, time(best)),
            format!("{answered} answers, the last after {}", time(*slowest)),
        )?;
    }
    Ok(())
}

/// Alone, so that each await is free to go on: a drop there is all that happens.
fn dropped_at_every_await(open: Open<'_>) -> Checked {
    let limits = Limits { in_flight: 1, ..LIMITS[0] };
    for ask in Ask::KINDS {
        let checked = every_await(
            || {
                let page = Page::new(200, "lamp").in_pieces(3, ms(5));
                let host = Host::new(&Recorder::new("dropped at an await")).on(&ask.path(), [page]);
                (open(&host, limits), host)
            },
            |(catalogue, _)| {
                let catalogue = catalogue.clone();
                async move { ask.of(&*catalogue).await }
            },
            async |(catalogue, host)| {
                if host.in_flight() > 0 {
                    return Err(String::from("its request runs on"));
                }
                match ask.of(&*catalogue).await {
                    Ok(_) => Ok(()),
                    Err(failure) => Err(format!("the next call gives Err({failure:?})")),
                }
            },
        );
        let Err(told) = checked else { continue };
        let finding = Finding {
            rule: Some(String::from("dropped")),
            case: format!("{ask}, dropped at each await in turn"),
            expected: String::from("nothing of it runs on, and its place is free"),
            seen: without_folders(&told),
            trace: None,
        };
        return Err(Box::new(Verdict::found(Kind::RuleBroken, finding)));
    }
    Ok(())
}

/// Calls that come when they come, when all connections are open already.
struct Day {
    limits: Limits,
    /// When each comes, how long its head takes, and each of the three pieces of its body.
    calls: Vec<(u64, u64, u64)>,
}

/// What is to become of a call, and when, counted from its coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered(Duration),
    Busy,
    TimedOut,
}

impl Day {
    fn drawn(seed: u64) -> Self {
        let drawn = shuffled(seed, 36);
        let limits = Limits { in_flight: 2 + seed as usize % 3, ..LIMITS[seed as usize % 2] };
        let calls = (0..12).map(|n| {
            let (came, head, piece) = (drawn[n], drawn[12 + n], drawn[24 + n]);
            (u64::from(came) * 11, 10 + u64::from(head) * 5, u64::from(piece))
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable();
        Self { limits, calls }
    }

    /// What each is to come to, if those that wait are served in turn; nothing, if it hangs by a hair.
    fn fates(&self) -> Option<Vec<Fate>> {
        let Limits { in_flight, wait, total, .. } = self.limits;
        let mut free = vec![Duration::ZERO; in_flight];
        let mut fates = Vec::new();
        let hair = |one: Duration, other: Duration| one.abs_diff(other) <= GRAIN;
        for (came, head, piece) in &self.calls {
            let (came, takes) = (ms(*came), ms(head + 3 * piece));
            free.sort_unstable();
            let begins = came.max(free[0]);
            if hair(begins, came + wait) || hair(begins + takes, came + total) {
                return None;
            }
            if begins > came + wait {
                fates.push(Fate::Busy);
                continue;
            }
            let over = (begins + takes).min(came + total);
            fates.push(if begins + takes < came + total {
                Fate::Answered(over - came)
            } else {
                Fate::TimedOut
            });
            // One that has timed out has to connect anew: from there on it is another day.
            if over == came + total {
                return Some(fates);
            }
            free[0] = over;
        }
        Some(fates)
    }

    fn check(&self, open: Open<'_>) -> Checked {
        let Some(fates) = self.fates() else { return Ok(()) };
        let limits = self.limits;
        let name = format!("{} calls that come one by one, {} in flight", fates.len(), limits.in_flight);
        let case = Case::run(name, async |recorder| {
            let mut host = Host::new(&recorder).on("/items/99", [Page::new(200, "warm")]);
            for (id, (_, head, piece)) in (0..).zip(&self.calls) {
                let page = Page::new(200, format!("item {id}")).after(ms(*head)).in_pieces(3, ms(*piece));
                host = host.on(&Ask::Item(id).path(), [page]);
            }
            let catalogue = open(&host, limits);
            join_all((0..limits.in_flight).map(|_| call(&*catalogue, Ask::Item(99)))).await;
            let calls = (0..).zip(&self.calls[..fates.len()]).map(|(id, (came, ..))| {
                let (catalogue, came) = (&*catalogue, *came);
                async move {
                    sleep(ms(came)).await;
                    call(catalogue, Ask::Item(id)).await
                }
            });
            (join_all(calls).await, host.peak())
        })?;
        let (seen, peak) = &case.value;
        let most = limits.in_flight;
        case.rule(
            "in-flight",
            *peak <= most,
            format!("at most {most} in flight"),
            format!("{peak} in flight"),
        )?;
        for (id, (fate, seen)) in (0..).zip(fates.iter().zip(seen)) {
            let (wanted, rule, at) = match fate {
                Fate::Answered(at) => (Ok(format!("item {id}")), "in-flight", *at),
                Fate::Busy => (Err(Failure::Busy), "busy", limits.wait),
                Fate::TimedOut => (Err(Failure::TimedOut), "time", limits.total),
            };
            case.rule(
                rule,
                seen.ended == wanted && seen.took.abs_diff(at) <= GRAIN,
                format!(
                    "item({id}), which comes at {} ms, gives {} after {}",
                    self.calls[id as usize].0,
                    told(&wanted),
                    time(at)
                ),
                format!("{} after {}", told(&seen.ended), time(seen.took)),
            )?;
        }
        Ok(())
    }
}
