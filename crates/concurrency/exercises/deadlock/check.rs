//! What is verified on any answer to `deadlock`.

use common::{
    Backend, Recorder, Verdict,
    backend::{CallEnd, Outcome},
    draw::time,
    verdict::{Finding, Kind},
};
use futures_util::future::{BoxFuture, join_all};
use std::{sync::Arc, time::Duration};
use testing::{
    Case, Checked,
    case::{verdict, without_folders},
    every_await, latencies,
    simulation::tasks_left,
};
use tokio::{
    select,
    time::{Instant, sleep},
};

const PATIENCE: Duration = ms(100);
const AUDITOR: u32 = 0;
const PIECES: u32 = 100;
/// Times on the paused clock are exact; a timer more or less on the way is nobody's mistake.
const GRAIN: Duration = ms(3);

/// What an audit gives.
type Audit = (u32, Vec<String>);
/// A shop that is open.
pub(crate) trait Shop: Send + Sync {
    fn order(&self, id: u32) -> BoxFuture<'_, ()>;
    fn audit(&self) -> BoxFuture<'_, Audit>;
}
/// Opens one.
type Open<'a> = &'a dyn Fn(Backend, u32) -> Arc<dyn Shop>;

/// Opens the shops of a module.
macro_rules! shops {
    ($($module:ident)::+) => {{
        struct Theirs($($module)::+::Shop);
        impl check::Shop for Theirs {
            fn order(&self, id: u32) -> futures_util::future::BoxFuture<'_, ()> {
                Box::pin(self.0.order(id))
            }
            fn audit(&self) -> futures_util::future::BoxFuture<'_, (u32, Vec<String>)> {
                Box::pin(self.0.audit())
            }
        }
        &|backend, pieces| std::sync::Arc::new(Theirs($($module)::+::Shop::new(backend, pieces)))
    }};
}
pub(crate) use shops;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        for day in days() {
            open_for(open, &day)?;
        }
        for seed in 0..20 {
            open_for(open, &drawn(seed))?;
        }
        for after in [5, 15, 60, 100, 105, 150, 260, 300, 305, 320] {
            dropped(open, ms(after))?;
        }
        dropped_at_every_await(open)?;
        let day = Day { orders: vec![(0, 150), (0, 20), (0, 30)], audits: vec![0], reads: 120 };
        Case::explore(
            day.name(),
            0..60,
            async |schedule| day.run(open, schedule.sim().recorder(), Some(&schedule)).await,
            |case| hold(case, &day),
        )
    })
}

/// When orders come, and how long the bank takes for each; when there are audits, and how long each takes to read.
struct Day {
    orders: Vec<(u64, u64)>,
    audits: Vec<u64>,
    reads: u64,
}

fn days() -> Vec<Day> {
    let day = |orders: &[(u64, u64)], audits: &[u64], reads| Day {
        orders: orders.to_vec(),
        audits: audits.to_vec(),
        reads,
    };
    vec![
        day(&[(0, 10)], &[], 50),
        day(&[], &[0], 50),
        day(&[(0, 10), (0, 20), (0, 30)], &[], 50),
        day(&[(5, 10)], &[0], 60),
        day(&[(5, 10)], &[0], 500),
        day(&[(0, 70), (0, 70), (0, 70), (10, 70)], &[], 50),
        day(&[(0, 30), (5, 20), (12, 40), (150, 10)], &[10, 40], 250),
        day(&[(0, 150), (1, 150), (2, 10), (3, 10), (70, 10), (180, 5)], &[20], 90),
    ]
}

fn drawn(seed: u64) -> Day {
    let drawn: Vec<u64> = latencies(seed, 12)
        .iter()
        .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX))
        .collect();
    Day {
        orders: (0..5).map(|n| (drawn[n] * 2, drawn[5 + n])).collect(),
        audits: vec![drawn[10], drawn[11] * 3],
        reads: 40 + 70 * (seed % 4),
    }
}

/// What came of a day.
struct Seen {
    /// For each order: when it came, and when it returned.
    orders: Vec<(Duration, Duration)>,
    /// For each audit: when it was called, when it returned, and what it gave.
    audits: Vec<(Duration, Duration, Audit)>,
    /// When the auditor gave an audit back.
    read: Vec<Duration>,
    /// When all was over.
    last: Audit,
    /// For which orders the bank was asked, in this order.
    charged: Vec<u32>,
}

impl Day {
    fn name(&self) -> String {
        let orders: Vec<String> =
            self.orders.iter().map(|(at, takes)| format!("at {at} ms ({takes} ms)")).collect();
        let audits: Vec<String> =
            self.audits.iter().map(|at| format!("at {at} ms ({} ms)", self.reads)).collect();
        let listed = |what: &str, times: &[String]| match times {
            [] => format!("no {what}"),
            times => format!("{what} {}", times.join(", ")),
        };
        format!("{}; {}", listed("orders", &orders), listed("audits", &audits))
    }

    fn backend(&self, recorder: &Recorder) -> Backend {
        let backend = Backend::new(recorder).on(AUDITOR, ms(self.reads), Outcome::Reply);
        (1..)
            .zip(&self.orders)
            .fold(backend, |backend, (id, (_, takes))| backend.on(id, ms(*takes), Outcome::Reply))
    }

    async fn run(
        &self,
        open: Open<'_>,
        recorder: &Recorder,
        schedule: Option<&testing::explore::Schedule>,
    ) -> Seen {
        let backend = self.backend(recorder);
        let shop = open(backend.clone(), PIECES);
        let start = Instant::now();
        let orders = (1..).zip(&self.orders).map(|(id, (at, _))| {
            let (shop, at) = (&shop, *at);
            let name = format!("order {id}");
            async move {
                sleep(ms(at)).await;
                let came = start.elapsed();
                let order = recorder.lane(name.clone(), shop.order(id));
                match schedule {
                    Some(schedule) => schedule.perturb(name, order).await,
                    None => order.await,
                }
                (came, start.elapsed())
            }
        });
        let audits = self.audits.iter().map(|at| {
            let (shop, at) = (&shop, *at);
            async move {
                sleep(ms(at)).await;
                let called = start.elapsed();
                let audit = recorder.lane("audit", shop.audit()).await;
                (called, start.elapsed(), audit)
            }
        });
        let (orders, audits) = tokio::join!(join_all(orders), join_all(audits));
        let charged = backend.calls().iter().map(|call| call.id).filter(|id| *id != AUDITOR).collect();
        let read =
            backend.calls().into_iter().filter(|call| call.id == AUDITOR).filter_map(|call| call.ended);
        let read = read.map(|(at, _)| at).collect();
        Seen { orders, audits, read, last: shop.audit().await, charged }
    }
}

fn open_for(open: Open<'_>, day: &Day) -> Checked {
    let case = Case::run(day.name(), async |recorder| day.run(open, &recorder, None).await)?;
    hold(&case, day)
}

fn hold(case: &Case<Seen>, day: &Day) -> Checked {
    let Seen { orders, audits, read, last, charged } = &case.value;
    for (called, returned, audit) in audits {
        belongs_together(case, "audit", audit)?;
        let (from, to) = (*called, *returned + GRAIN);
        case.rule(
            "audit",
            read.iter().any(|read| (from..=to).contains(read)),
            format!("the auditor is asked by the audit that is called at {}", time(*called)),
            format!("it returns at {}, and the auditor has not read the journal meanwhile", time(*returned)),
        )?;
        let missing = (1..)
            .zip(orders)
            .find(|(id, (_, sold))| *sold + GRAIN < *called && lines(&audit.1, &format!("order {id}")) == 0);
        if let Some((id, (_, sold))) = missing {
            case.rule(
                "audit",
                false,
                format!(
                    "order {id}, which returned at {}, is in the audit that is called at {}",
                    time(*sold),
                    time(*called)
                ),
                "it is not",
            )?;
        }
    }
    belongs_together(case, "audit", last)?;
    for (id, (came, returned)) in (1..).zip(orders) {
        let times = charged.iter().filter(|charged| **charged == id).count();
        let lines = lines(&last.1, &format!("order {id}"));
        case.rule(
            "sold",
            times == 1 && lines == 1,
            format!("order {id} is charged once, and one line says that it is sold"),
            format!("charged {}, {}", count(times), count_lines(lines)),
        )?;
        let took = *returned - *came;
        let noted = self::lines(&last.1, &format!("order {id} is slow"));
        let wanted = usize::from(took > PATIENCE);
        // In the very moment, it is slow or not.
        let near = took + GRAIN >= PATIENCE && took <= PATIENCE + GRAIN;
        case.rule(
            "slow",
            noted == wanted || near && noted <= 1,
            format!("order {id} took {}: {} that it is slow", time(took), count_lines(wanted)),
            count_lines(noted),
        )?;
    }
    let sold = PIECES - last.0;
    case.rule(
        "sold",
        sold as usize == orders.len(),
        format!("{} pieces less", orders.len()),
        format!("{sold} less"),
    )?;
    // Those that came in the same moment may have any order.
    let came = |id: u32| day.orders[id as usize - 1].0;
    let overtaken = charged.windows(2).find(|pair| came(pair[0]) > came(pair[1]));
    let in_turn = overtaken.is_none_or(|pair| came(pair[0]) <= came(pair[1]) + 1 && pair[0] != pair[1]);
    case.rule(
        "in-turn",
        in_turn,
        "orders are charged in the order in which they came",
        format!(
            "the bank was asked for {charged:?}; they came at {:?} ms",
            day.orders.iter().map(|(at, _)| at).collect::<Vec<_>>()
        ),
    )
}

/// What became of the second of three orders.
struct Second {
    audit: Audit,
    last: Audit,
    ended: bool,
    /// Tasks alive when it was dropped, and when the others had ended.
    tasks: (usize, usize),
    /// Calls to the bank about it that were under way when it was dropped, and that were begun later.
    running: usize,
    later: usize,
    replied: bool,
}

/// How long the audit takes beside which the second order is dropped.
const READS: Duration = ms(150);

/// Three orders during an audit. The second is dropped after a while, or, for comparison, never made.
async fn three_orders(open: Open<'_>, recorder: Recorder, after: Duration, made: bool) -> Second {
    let backend = Backend::new(&recorder)
        .on(AUDITOR, READS, Outcome::Reply)
        .on(1, ms(30), Outcome::Reply)
        .on(2, ms(120), Outcome::Reply)
        .on(3, ms(20), Outcome::Reply);
    let shop = open(backend.clone(), PIECES);
    let order = |id| recorder.lane(format!("order {id}"), shop.order(id));
    let calls = || backend.calls().into_iter().filter(|call| call.id == 2);
    let second = async {
        let ended = select! {
            biased;
            () = sleep(after) => false,
            () = order(2), if made => true,
        };
        // What is aborted goes when the scheduler next looks at it.
        let tasks = tasks_left().await;
        (ended, tasks, calls().filter(|call| call.ended.is_none()).count(), calls().count())
    };
    let audit = recorder.lane("audit", shop.audit());
    let (audit, (), (ended, tasks, running, asked), ()) = tokio::join!(audit, order(1), second, order(3));
    let tasks = (tasks, tasks_left().await);
    sleep(Duration::from_secs(2)).await;
    let later = calls().count() - asked;
    let replied = calls().any(|call| matches!(call.ended, Some((_, CallEnd::Replied))));
    Second { audit, last: shop.audit().await, ended, tasks, running, later, replied }
}

/// Drops the second of three orders, while there is an audit.
fn dropped(open: Open<'_>, after: Duration) -> Checked {
    // Tasks of the shop's own live on, and those of the others are still at it: as many as without the second order.
    let without = Case::run("2 orders during an audit", async |recorder| {
        three_orders(open, recorder, after, false).await.tasks
    })?;
    let name = format!("3 orders during an audit; the second is dropped after {}", time(after));
    let case = Case::run(name, async |recorder| three_orders(open, recorder, after, true).await)?;
    let Second { audit, last, ended, tasks, running, later, replied } = &case.value;
    belongs_together(&case, "audit", audit)?;
    belongs_together(&case, "dropped", last)?;
    // While all wait for the audit, the others are as far as they would be without it. Later they may be behind.
    let at_the_drop = if after < READS { tasks.0.saturating_sub(without.value.0) } else { 0 };
    let tasks = at_the_drop.max(tasks.1.saturating_sub(without.value.1));
    let runs_on = [
        (*running, "a call to the bank runs on", "calls to the bank run on"),
        (tasks, "a task runs on", "tasks run on"),
        (*later, "the bank is asked later", "calls to the bank begin later"),
    ];
    let runs_on: Vec<String> = runs_on
        .iter()
        .filter(|(times, ..)| *times > 0)
        .map(|(times, one, more)| if *times == 1 { String::from(*one) } else { format!("{times} {more}") })
        .collect();
    case.rule("dropped", *ended || runs_on.is_empty(), "nothing of order 2 runs on", runs_on.join(", "))?;
    let sold = lines(&last.1, "order 2");
    let (rule, right) =
        if *ended { ("sold", sold == 1 && *replied) } else { ("dropped", sold <= usize::from(*replied)) };
    let bank = if *replied { "the bank has charged it" } else { "the bank has not charged it" };
    case.rule(
        rule,
        right,
        "order 2 is sold only when the bank has charged it",
        format!("{bank}, and {} that it is sold", count_lines(sold)),
    )
}

/// Alone, so that each await is free to go on: a drop there is all that happens.
fn dropped_at_every_await(open: Open<'_>) -> Checked {
    let told = every_await(
        || open(Backend::new(&Recorder::new("dropped at an await")), PIECES),
        |shop| {
            let shop = shop.clone();
            async move { shop.order(1).await }
        },
        async |shop| {
            let (stock, journal) = shop.audit().await;
            match (PIECES - stock, lines(&journal, "order 1")) {
                (0, 0) | (1, 1) => Ok(()),
                (pieces, lines) => {
                    Err(format!("{pieces} pieces less, and {} that order 1 is sold", count_lines(lines)))
                }
            }
        },
    );
    let Err(told) = told else { return Ok(()) };
    let finding = Finding {
        rule: Some(String::from("dropped")),
        case: String::from("1 order, dropped at each await in turn"),
        expected: String::from("it is sold as a whole or not at all, and nothing of it runs on"),
        seen: without_folders(&told),
        trace: None,
    };
    Err(Box::new(Verdict::found(Kind::RuleBroken, finding)))
}

fn belongs_together<T>(case: &Case<T>, rule: &str, (stock, journal): &Audit) -> Checked {
    let sold = journal.iter().filter(|line| !line.ends_with("is slow")).count();
    case.rule(
        rule,
        *stock as usize + sold == PIECES as usize,
        format!("{PIECES} pieces: those in stock, and those that the journal says are sold"),
        format!("{stock} in stock and {sold} sold, according to an audit"),
    )
}

fn lines(journal: &[String], wanted: &str) -> usize {
    journal.iter().filter(|line| *line == wanted).count()
}

fn count(times: usize) -> String {
    match times {
        0 => String::from("never"),
        1 => String::from("once"),
        times => format!("{times} times"),
    }
}

fn count_lines(lines: usize) -> String {
    match lines {
        0 => String::from("no line says"),
        1 => String::from("one line says"),
        lines => format!("{lines} lines say"),
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
