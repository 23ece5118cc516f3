//! What is verified on any answer to `database`.

use common::{
    Backend, Recorder, Verdict,
    backend::{CallEnd, FetchError, Outcome},
    database::{Database, PoolTimedOut, STATEMENT, Statement},
    draw::time,
    verdict::Kind,
};
use futures_util::future::{BoxFuture, join_all};
use std::{error::Error, ops::Range, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies,
};
use tokio::time::{sleep, timeout};

/// What a checkout gives.
type Ended = Result<u32, Box<dyn Error + Send + Sync>>;
/// Has an order charged.
type Checkout = Box<dyn Fn(u32) -> BoxFuture<'static, Ended>>;
/// Opens a shop.
type Open<'a> = &'a dyn Fn(Database, Backend) -> Checkout;

/// Opens the shops of a module.
macro_rules! shops {
    ($($module:ident)::+) => {
        &|database, bank| {
            let shop = std::sync::Arc::new($($module)::+::Shop::new(&database, bank));
            Box::new(move |order| {
                let shop = shop.clone();
                Box::pin(async move { shop.checkout(order).await })
            })
        }
    };
}
pub(crate) use shops;

const CONNECTIONS: usize = 2;
/// How long a client waits for a connection, and what the pool is opened with.
const LIMIT: Duration = ms(1000);
const BANK: Duration = ms(300);
/// A timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(2);

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        alone(open, &[])?;
        together(open, 2, &[])?;
        free(open)?;
        for customers in [3, 8, 40] {
            together(open, customers, &[])?;
        }
        for seed in 0..3 {
            late_comers(open, seed)?;
        }
        alone(open, &[1])?;
        twice(open)?;
        together(open, 9, &[2, 5])?;
        // Each moment in which somebody might ask for a connection; then from there on for good.
        for from in [0, 5, 15, 25, 305, 315, 325] {
            out_of_reach(open, ms(from)..ms(from + 10))?;
        }
        for from in [0, 5, 15, 30] {
            out_of_reach(open, ms(from)..ms(60_000))?;
        }
        for after in (0..34).map(|n| ms(10 * n + 5)) {
            dropped(open, after)?;
        }
        many_dropped(open)?;
        Ok(())
    })
}

fn price(order: u32) -> u32 {
    1000 + 10 * order
}

fn discount(order: u32) -> u32 {
    7 + order
}

/// A shop, and whom it asks.
struct World {
    database: Database,
    bank: Backend,
    checkout: Checkout,
}

/// What is set before it opens.
#[derive(Default)]
struct Given {
    orders: u32,
    declined: Vec<u32>,
    /// When nobody gets a connection.
    away: Range<Duration>,
    /// No bank takes as long for each; none takes longer than [`BANK`].
    seed: Option<u64>,
}

impl World {
    fn new(open: Open<'_>, recorder: &Recorder, given: &Given) -> Self {
        let mut database = Database::new(recorder).out_of_reach(given.away.clone());
        let mut bank = Backend::new(recorder);
        let sooner = given.seed.map(|seed| latencies(seed + 100, given.orders as usize)).unwrap_or_default();
        for order in 1..=given.orders {
            database = database.row(&format!("price of {order}"), price(order));
            database = database.row(&format!("discount of {order}"), discount(order));
            let outcome = if given.declined.contains(&order) { Outcome::Fail } else { Outcome::Reply };
            let sooner = sooner.get(order as usize - 1).copied().unwrap_or_default();
            bank = bank.on(order, BANK - sooner, outcome);
        }
        let checkout = open(database.clone(), bank.clone());
        Self { database, bank, checkout }
    }

    fn seen(&self, ended: Vec<Ended>) -> Seen {
        Seen {
            ended,
            opened: self.database.opened(),
            asked: self.database.asked(),
            timed_out: self.database.timed_out(),
            log: self.database.log(),
            bank: self
                .bank
                .calls()
                .iter()
                .map(|call| {
                    let ended = call.ended.filter(|(_, end)| matches!(end, CallEnd::Replied));
                    (call.id, call.started, ended.map(|(at, _)| at))
                })
                .collect(),
        }
    }
}

/// What came of it.
struct Seen {
    ended: Vec<Ended>,
    opened: usize,
    /// When somebody asked for a connection.
    asked: Vec<Duration>,
    /// When somebody who had waited got none.
    timed_out: Vec<Duration>,
    log: Vec<Statement>,
    /// The order, when the bank was asked about it, and when it had agreed.
    bank: Vec<(u32, Duration, Option<Duration>)>,
}

impl Seen {
    fn statements(&self, text: &str) -> Vec<&Statement> {
        self.log.iter().filter(|statement| statement.text == text).collect()
    }
}

/// What holds in any case.
fn in_any_case<T>(case: &Case<T>, seen: &Seen) -> Checked {
    case.rule(
        "two",
        seen.opened <= CONNECTIONS,
        "the shop opens at most 2 connections",
        format!("it has opened {}", seen.opened),
    )
}

/// A checkout that nobody disturbs, and that has ended.
fn paid<T>(case: &Case<T>, seen: &Seen, order: u32, ended: &Ended, declined: bool) -> Checked {
    let asked: Vec<_> = seen.bank.iter().filter(|(id, ..)| *id == order).collect();
    case.rule(
        "paid",
        asked.len() == 1,
        format!("the bank is asked once about order {order}"),
        times(asked.len()),
    )?;
    let (_, asked, agreed) = asked[0];
    for read in [format!("price of {order}"), format!("discount of {order}")] {
        let before = seen.statements(&read).iter().any(|statement| statement.ended <= *asked);
        let seen = if before { "it was" } else { "it was not" };
        case.rule(
            "paid",
            before,
            format!("\"{read}\" has been read when the bank is asked, after {}", time(*asked)),
            seen,
        )?;
    }
    let written = seen.statements(&format!("paid {order}"));
    let (expected, right) = match agreed {
        Some(at) => (
            format!("\"paid {order}\" is written once, after the bank's reply at {}", time(*at)),
            written.len() == 1 && written[0].asked >= *at,
        ),
        None => (format!("\"paid {order}\" is not written: the bank has declined"), written.is_empty()),
    };
    let moments: Vec<String> = written.iter().map(|statement| time(statement.asked)).collect();
    let moments = if moments.is_empty() { String::new() } else { format!(", at {}", moments.join(" and ")) };
    case.rule("paid", right, expected, format!("{}{moments}", times(written.len())))?;
    let amount = price(order) - discount(order);
    let told = match ended {
        Ok(seen) => !declined && *seen == amount,
        Err(error) => declined && error.downcast_ref::<FetchError>().is_some(),
    };
    let expected = if declined {
        format!("checkout {order} gives the bank's error")
    } else {
        format!("checkout {order} gives {amount}: {} without {}", price(order), discount(order))
    };
    case.rule("paid", told, expected, gave(ended))
}

fn alone(open: Open<'_>, declined: &[u32]) -> Checked {
    let name = if declined.is_empty() { "one checkout" } else { "one checkout; the bank declines it" };
    let given = Given { orders: 1, declined: declined.to_vec(), ..Given::default() };
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &given);
        let ended = recorder.lane("checkout 1", (world.checkout)(1)).await;
        world.seen(vec![ended])
    })?;
    let seen = &case.value;
    in_any_case(&case, seen)?;
    if !declined.is_empty() {
        paid(&case, seen, 1, &seen.ended[0], true)?;
    } else if seen.timed_out.is_empty() {
        paid(&case, seen, 1, &seen.ended[0], false)?;
    }
    in_time(&case, 1, case.elapsed)
}

/// The same order once more, when the price has changed.
fn twice(open: Open<'_>) -> Checked {
    let name = "the same order twice, one after the other; in between its price and its discount change";
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &Given { orders: 1, ..Given::default() });
        let first = (world.checkout)(1).await;
        let changed = world.database.clone().row("price of 1", price(50)).row("discount of 1", discount(20));
        let second = (world.checkout)(1).await;
        let reads = changed.log().iter().filter(|statement| !statement.text.starts_with("paid")).count();
        (world.seen(vec![first, second]), reads)
    })?;
    let (seen, reads) = &case.value;
    in_any_case(&case, seen)?;
    for (ended, amount) in seen.ended.iter().zip([price(1) - discount(1), price(50) - discount(20)]) {
        let right = ended.as_ref().is_ok_and(|seen| *seen == amount);
        case.rule(
            "paid",
            right,
            format!("checkout 1 gives {amount}: what the price and the discount are then"),
            format!("{}; {reads} values were read by both checkouts", gave(ended)),
        )?;
    }
    Ok(())
}

fn together(open: Open<'_>, customers: u32, declined: &[u32]) -> Checked {
    let mut name = format!("{customers} checkouts at once");
    for order in declined {
        name += &format!("; the bank declines {order}");
    }
    let given = Given { orders: customers, declined: declined.to_vec(), ..Given::default() };
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &given);
        let all = (1..=customers).map(|order| {
            let checkout = (world.checkout)(order);
            recorder.lane(format!("checkout {order}"), checkout)
        });
        let ended = join_all(all).await;
        world.seen(ended)
    })?;
    let seen = &case.value;
    in_any_case(&case, seen)?;
    served(&case, seen)?;
    for (order, ended) in (1..).zip(&seen.ended) {
        paid(&case, seen, order, ended, declined.contains(&order))?;
    }
    in_time(&case, customers, case.elapsed)
}

/// One after the other at odd moments, as customers come: more than the first wave.
fn late_comers(open: Open<'_>, seed: u64) -> Checked {
    const CUSTOMERS: u32 = 12;
    let delays: Vec<Duration> =
        latencies(seed, CUSTOMERS as usize).into_iter().map(|latency| latency * 2).collect();
    let last = delays.iter().max().copied().unwrap_or_default();
    let name = format!("{CUSTOMERS} checkouts that begin one after the other within {}", time(last));
    let given = Given { orders: CUSTOMERS, seed: Some(seed), ..Given::default() };
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &given);
        let all = (1..).zip(&delays).map(|(order, delay)| {
            let checkout = (world.checkout)(order);
            let recorder = &recorder;
            async move {
                sleep(*delay).await;
                recorder.lane(format!("checkout {order}"), checkout).await
            }
        });
        let ended = join_all(all).await;
        world.seen(ended)
    })?;
    let seen = &case.value;
    in_any_case(&case, seen)?;
    served(&case, seen)?;
    for (order, ended) in (1..).zip(&seen.ended) {
        paid(&case, seen, order, ended, false)?;
    }
    in_time(&case, CUSTOMERS, case.elapsed.saturating_sub(last))
}

fn served(case: &Case<Seen>, seen: &Seen) -> Checked {
    let refused = seen
        .ended
        .iter()
        .filter(|ended| ended.as_ref().is_err_and(|error| error.downcast_ref::<PoolTimedOut>().is_some()));
    let refused = refused.count();
    case.rule(
        "served",
        seen.timed_out.is_empty() && refused == 0,
        "nobody waits for a connection in vain: it is free again after a few statements",
        format!(
            "{} ended in the pool's timeout, and {refused} of {} checkouts with `PoolTimedOut`",
            match seen.timed_out.len() {
                1 => String::from("1 wait"),
                waits => format!("{waits} waits"),
            },
            seen.ended.len()
        ),
    )
}

fn in_time<T>(case: &Case<T>, customers: u32, took: Duration) -> Checked {
    // Both connections are at work as long as somebody waits; the last wave has its own bank and its own three statements.
    let statements = STATEMENT * 3 * customers / 2;
    let expected = statements + BANK + STATEMENT * 3 + GRAIN;
    case.rule(
        "in-time",
        took <= expected,
        format!(
            "all is over after {} at the latest: {} statements on 2 connections, and the bank",
            time(expected - GRAIN),
            3 * customers
        ),
        format!("after {}", time(took)),
    )
}

/// In the middle of the bank's work nobody holds a connection.
fn free(open: Open<'_>) -> Checked {
    for customers in [1, 2] {
        let name = if customers == 1 {
            String::from("one checkout, while the bank is asked")
        } else {
            format!("{customers} checkouts at once, while the bank is asked")
        };
        let case = Case::run(name, async |recorder| {
            let world = World::new(open, &recorder, &Given { orders: customers, ..Given::default() });
            let all = (1..=customers).map(|order| {
                let checkout = (world.checkout)(order);
                recorder.lane(format!("checkout {order}"), checkout)
            });
            let look = async {
                sleep(ms(150)).await;
                (world.bank.in_flight(), world.database.out())
            };
            let (ended, (asked, out)) = tokio::join!(join_all(all), look);
            (world.seen(ended), asked, out)
        })?;
        let (seen, asked, out) = &case.value;
        in_any_case(&case, seen)?;
        case.rule(
            "in-time",
            *asked == customers as usize,
            format!("after 150 ms the bank is being asked by {customers}"),
            format!("by {asked}"),
        )?;
        case.rule(
            "free",
            *out == 0,
            "while the bank is asked, no connection is held",
            format!("{out} held after 150 ms"),
        )?;
    }
    Ok(())
}

/// For a while, who asks for a connection gets none.
fn out_of_reach(open: Open<'_>, away: Range<Duration>) -> Checked {
    let until = if away.end > ms(10_000) { String::from("on") } else { format!("to {}", time(away.end)) };
    let name =
        format!("one checkout; from {} {until}, who asks for a connection gets none", time(away.start));
    let given = Given { orders: 1, away: away.clone(), ..Given::default() };
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &given);
        let ended = recorder.lane("checkout 1", (world.checkout)(1)).await;
        world.seen(vec![ended])
    })?;
    let (seen, ended) = (&case.value, &case.value.ended[0]);
    in_any_case(&case, seen)?;
    let Some(in_vain) = seen.asked.iter().find(|asked| away.contains(asked)) else {
        return paid(&case, seen, 1, ended, false);
    };
    // Whoever asks anew before the second is over, and is given one then, has not waited in vain.
    if seen.timed_out.is_empty() && ended.is_ok() {
        return paid(&case, seen, 1, ended, false);
    }
    let told = ended.as_ref().is_err_and(|error| error.downcast_ref::<PoolTimedOut>().is_some());
    case.rule(
        "told",
        told,
        "a wait for a connection has timed out: the checkout gives `PoolTimedOut`",
        gave(ended),
    )?;
    // Both values may be read at once: then two waits end in one timeout.
    let first = seen.timed_out.iter().min().copied().unwrap_or(Duration::MAX);
    let again = seen.asked.iter().filter(|asked| **asked >= first).count();
    case.rule(
        "told",
        again == 0,
        "after a timeout it asks for a connection no second time",
        format!("it asks {} after that", times(again)),
    )?;
    let read = ["price of 1", "discount of 1"].iter().all(|read| !seen.statements(read).is_empty());
    case.rule(
        "told",
        read || seen.bank.is_empty(),
        "the bank is not asked: the amount is not known",
        format!("it is asked {}", times(seen.bank.len())),
    )?;
    let due = *in_vain + LIMIT;
    case.rule(
        "told",
        case.elapsed.abs_diff(due) <= GRAIN,
        format!(
            "it has asked for a connection at {}, and is told 1 s later, at {}",
            time(*in_vain),
            time(due)
        ),
        format!("at {}", time(case.elapsed)),
    )
}

/// Somebody leaves in the middle.
fn dropped(open: Open<'_>, after: Duration) -> Checked {
    let name = format!("two checkouts at once, both dropped after {}; then two more", time(after));
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &Given { orders: 4, ..Given::default() });
        let run = async |orders: [u32; 2]| {
            let all = orders.map(|order| {
                let checkout = (world.checkout)(order);
                recorder.lane(format!("checkout {order}"), checkout)
            });
            join_all(all).await
        };
        let left = timeout(after, run([1, 2])).await.is_err();
        // What is aborted has one turn to go.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let rest = (world.bank.in_flight(), world.database.out());
        let start = recorder.now();
        let ended = run([3, 4]).await;
        (left, rest, recorder.now() - start, world.seen(ended))
    })?;
    let (left, (asked, out), took, seen) = &case.value;
    in_any_case(&case, seen)?;
    if *left {
        case.rule(
            "dropped",
            (*asked, *out) == (0, 0),
            "whoever is dropped asks the bank no more, and holds no connection",
            format!("{asked} calls to the bank in flight, {out} connections held"),
        )?;
    }
    for (order, ended) in (3..).zip(&seen.ended) {
        paid(&case, seen, order, ended, false)?;
    }
    in_time(&case, 2, *took)
}

/// Many leave one shop, in wherever they are, and whoever comes then is served as if they had never been there.
fn many_dropped(open: Open<'_>) -> Checked {
    const CUSTOMERS: u32 = 40;
    let name = "6 times 40 checkouts at once, each dropped at another moment; then 8 more";
    let case = Case::run(name, async |recorder| {
        let world = World::new(open, &recorder, &Given { orders: 8, ..Given::default() });
        let mut rest = (0, 0);
        for round in 0..6 {
            let all = (0..CUSTOMERS).map(|n| {
                // All are gone before the last of their banks has replied, and the first before they have a connection.
                let moment = ms(u64::from((n * 7 + round * 3) % CUSTOMERS) * 8 + 5);
                timeout(moment, (world.checkout)(n % 8 + 1))
            });
            drop(join_all(all).await);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let (asked, out) = rest;
            rest = (asked + world.bank.in_flight(), out + world.database.out());
        }
        let start = recorder.now();
        let ended = join_all((1..=8).map(|order| (world.checkout)(order))).await;
        (rest, recorder.now() - start, world.seen(ended))
    })
    .map_err(breaks(Kind::Deadlock, "dropped", "whoever is dropped gives back all that it has"))?;
    let ((asked, out), took, seen) = &case.value;
    in_any_case(&case, seen)?;
    case.rule(
        "dropped",
        (*asked, *out) == (0, 0),
        "whoever is dropped asks the bank no more, and holds no connection",
        format!("{asked} calls to the bank in flight, {out} connections held"),
    )?;
    let served = seen.ended.iter().filter(|ended| ended.is_ok()).count();
    let within = STATEMENT * 3 * 8 / 2 + BANK + STATEMENT * 3 + GRAIN;
    case.rule(
        "dropped",
        served == 8 && *took <= within,
        format!("the 8 that come then are served within {}", time(within - GRAIN)),
        format!("{served} are, and it takes {}", time(*took)),
    )
}

fn gave(ended: &Ended) -> String {
    match ended {
        Ok(amount) => format!("it gives {amount}"),
        Err(error) => format!("it gives the error \"{error}\""),
    }
}

fn times(n: usize) -> String {
    match n {
        0 => String::from("not at all"),
        1 => String::from("once"),
        n => format!("{n} times"),
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
