//! What is verified on any answer to `lost_update`.

use common::{
    Recorder, Trace, Verdict,
    draw::time,
    shop::{Line, Order, Payment, Refused, Shop},
    verdict::{Finding, Kind},
};
use futures_util::future::{BoxFuture, join_all};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testing::{Case, Checked, case::verdict};
use tokio::{runtime::Builder, task::yield_now, time::Instant};

/// Books at one office.
type Book = Box<dyn Fn(Order) -> BoxFuture<'static, Result<Payment, Refused>>>;
/// Opens one.
type Open<'a> = &'a dyn Fn(Shop) -> Book;

/// Opens the offices of a module.
macro_rules! offices {
    ($($module:ident)::+) => {
        &|shop| {
            let office = std::sync::Arc::new($($module)::+::Office::new(shop));
            Box::new(move |order| {
                let office = office.clone();
                Box::pin(async move { office.book(order).await })
            })
        }
    };
}
pub(crate) use offices;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        for rush in rushes() {
            in_the_usual_order(open, &rush)?;
        }
        for rush in rushes() {
            under_every_schedule(open, &rush, 0..100)?;
        }
        on_two_threads(open)
    })
}

/// Orders that come at once: the number of each, and its seats.
struct Rush {
    orders: Vec<(u32, Vec<u32>)>,
    /// Those for which the bank won't pay.
    declined: Vec<u32>,
}

fn rushes() -> Vec<Rush> {
    let rush = |orders: &[(u32, &[u32])], declined: &[u32]| Rush {
        orders: orders.iter().map(|(order, seats)| (*order, seats.to_vec())).collect(),
        declined: declined.to_vec(),
    };
    vec![
        rush(&[(1, &[7])], &[]),
        rush(&[(1, &[11, 12]), (2, &[12, 11])], &[]),
        rush(&[(1, &[11]), (2, &[12]), (3, &[13, 207]), (4, &[208])], &[]),
        rush(&[(1, &[11, 207]), (2, &[207, 11])], &[]),
        rush(&[(1, &[31]), (2, &[32, 31]), (3, &[32])], &[]),
        rush(&[(1, &[31]), (2, &[31, 32]), (3, &[32, 33]), (4, &[33])], &[]),
        rush(&[(1, &[311, 12]), (2, &[12, 113]), (3, &[113, 311]), (4, &[50])], &[]),
        rush(&[(1, &[21, 22, 121]), (2, &[22]), (3, &[121, 23])], &[1]),
        rush(&[(8, &[5]), (3, &[5]), (6, &[5]), (2, &[5]), (9, &[6])], &[3, 6]),
    ]
}

/// What came of a rush.
struct Outcome {
    booked: Vec<Result<Payment, Refused>>,
    took: Duration,
    /// Orders for which the bank was asked, and when.
    charged: Vec<(u32, Duration)>,
    /// Seats that somebody could book afterwards.
    free: BTreeSet<u32>,
    /// What was recorded before that.
    trace: Trace,
}

impl Rush {
    fn name(&self) -> String {
        let orders: Vec<String> =
            self.orders.iter().map(|(order, seats)| format!("order {order} for {}", listed(seats))).collect();
        let declined: Vec<String> =
            self.declined.iter().map(|order| format!("; the bank declines {order}")).collect();
        format!("{}{}", orders.join(", "), declined.concat())
    }

    fn shop(&self, recorder: &Recorder) -> Shop {
        self.declined.iter().fold(Shop::new(recorder), |shop, order| shop.declining(*order))
    }

    fn orders(&self) -> impl Iterator<Item = Order> {
        self.orders.iter().map(|(id, seats)| order(*id, seats))
    }

    /// Lets them all in, then tries each seat once more.
    async fn outcome(
        &self,
        open: Open<'_>,
        recorder: &Recorder,
        all: impl AsyncFnOnce(
            Vec<(String, BoxFuture<'static, Result<Payment, Refused>>)>,
        ) -> Vec<Result<Payment, Refused>>,
    ) -> Outcome {
        let book = open(self.shop(recorder));
        let start = Instant::now();
        let calls = self.orders().map(|order| (format!("order {}", order.id), book(order))).collect();
        let booked = all(calls).await;
        let took = start.elapsed();
        // The case names them all, each with its seats, and stands above the picture.
        let trace = Trace { title: String::from("the orders, all at once"), ..recorder.trace() };
        let charged = trace
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.name.strip_prefix("charge order ")?.parse().ok()?, lane.born)))
            .collect();
        let mut free = BTreeSet::new();
        for seat in self.orders.iter().flat_map(|(_, seats)| seats).copied().collect::<BTreeSet<u32>>() {
            if book(order(LATER + seat, &[seat])).await.is_ok() {
                free.insert(seat);
            }
        }
        Outcome { booked, took, charged, free, trace }
    }
}

/// Orders of those who come afterwards have numbers from here on.
const LATER: u32 = 1000;

fn order(id: u32, seats: &[u32]) -> Order {
    let lines = seats.iter().map(|seat| Line { item: *seat, pieces: 1 }).collect();
    Order { id, lines, cents: 4500 }
}

fn in_the_usual_order(open: Open<'_>, rush: &Rush) -> Checked {
    let case = Case::run(rush.name(), async |recorder| {
        rush.outcome(open, &recorder, async |calls| {
            join_all(calls.into_iter().map(|(name, call)| recorder.lane(name, call))).await
        })
        .await
    })?;
    picture_of_the_rush(rush, &case)
}

fn under_every_schedule(open: Open<'_>, rush: &Rush, seeds: Range<u64>) -> Checked {
    let body = async |schedule: testing::explore::Schedule| {
        let recorder = schedule.sim().recorder().clone();
        rush.outcome(open, &recorder, async |calls| {
            let tasks: Vec<_> = calls.into_iter().map(|(name, call)| schedule.spawn(name, call)).collect();
            let mut booked = Vec::new();
            for task in tasks {
                booked.push(task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
            }
            booked
        })
        .await
    };
    Case::explore(rush.name(), seeds, body, |case| picture_of_the_rush(rush, case))
}

/// Those who come afterwards are the check's own, and not in the picture.
fn picture_of_the_rush(rush: &Rush, case: &Case<Outcome>) -> Checked {
    hold(rush, case).map_err(|mut verdict| {
        if let Some(finding) = &mut verdict.finding {
            finding.trace = Some(case.value.trace.clone());
        }
        verdict
    })
}

/// Between two locks without an await in between, nobody else runs on one thread: only a second one gets there. A right
/// answer passes always; a wrong one is found as often as the machine lets both threads run at once.
fn on_two_threads(open: Open<'_>) -> Checked {
    const OFFICES: usize = 1500;
    const SEATS: [u32; 4] = [11, 12, 113, 114];
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("no runtime: the process is out of file descriptors or memory");
    let sold = runtime.block_on(async {
        let mut rushes = Vec::new();
        for _ in 0..OFFICES {
            let book = open(Shop::new(&Recorder::new("two threads")));
            let here = Arc::new(AtomicUsize::new(0));
            let calls = [1, 2].map(|id| (here.clone(), book(order(id, &SEATS))));
            let calls = calls.map(|(here, call)| {
                tokio::spawn(async move {
                    // Both begin at once, if the other one is about to begin at all.
                    here.fetch_add(1, SeqCst);
                    for _ in 0..2000 {
                        if here.load(SeqCst) == 2 {
                            break;
                        }
                        std::hint::spin_loop();
                    }
                    call.await
                })
            });
            rushes.push(calls);
            if rushes.len() % 10 == 0 {
                yield_now().await;
            }
        }
        let mut sold = Vec::new();
        for tasks in rushes {
            let mut booked = 0;
            for task in tasks {
                booked += usize::from(task.await.is_ok_and(|booked| booked.is_ok()));
            }
            sold.push(booked);
        }
        sold
    });
    runtime.shutdown_background();
    let (twice, never) = (sold.iter().filter(|sold| **sold > 1).count(), sold.contains(&0));
    let told = |rule: &str, expected: &str, seen: String| {
        let finding = Finding {
            rule: Some(rule.to_owned()),
            case: format!("2 orders for {}, on two threads; {OFFICES} times", listed(&SEATS)),
            expected: expected.to_owned(),
            seen,
            trace: None,
        };
        Err(Box::new(Verdict::found(Kind::RuleBroken, finding)))
    };
    if twice > 0 {
        return told(
            "sold-once",
            "each seat is sold to one order, also when two threads run at the same time",
            format!("sold to both orders, {twice} times"),
        );
    }
    if never {
        return told("refused", "one of the two gets the seats", String::from("both are refused"));
    }
    Ok(())
}

fn hold(rush: &Rush, case: &Case<Outcome>) -> Checked {
    let Outcome { booked, took, charged, free, .. } = &case.value;
    let each = || rush.orders.iter().zip(booked);
    let got = |seat: u32| each().filter(move |((_, seats), booked)| booked.is_ok() && seats.contains(&seat));
    let wants = |seat: u32| rush.orders.iter().filter(move |(_, seats)| seats.contains(&seat));

    for seat in rush.orders.iter().flat_map(|(_, seats)| seats) {
        let mut owners: Vec<String> = got(*seat).map(|((order, _), _)| format!("to order {order}")).collect();
        let sold = !owners.is_empty();
        if sold && free.contains(seat) {
            owners.push(format!("to order {}, which came later", LATER + seat));
        }
        case.rule(
            "sold-once",
            owners.len() <= 1,
            "each seat is sold to one order",
            format!("seat {seat} is sold {}", owners.join(" and ")),
        )?;
        case.rule(
            "all-or-none",
            sold || free.contains(seat),
            "what nobody has paid for can be booked again",
            format!(
                "seat {seat} is sold to nobody, and order {}, which came later, is refused",
                LATER + seat
            ),
        )?;
    }
    for ((order, seats), booked) in each() {
        let times = charged.iter().filter(|(other, _)| other == order).count();
        let (seen, wanted) = match booked {
            Ok(_) => (String::from("is booked"), 1),
            Err(Refused::Declined { .. }) => (String::from("is declined"), 1),
            Err(refused) => (format!("is refused ({refused})"), 0),
        };
        let seat = match booked {
            Err(Refused::SoldOut { item }) => Some(*item),
            Ok(_) | Err(_) => None,
        };
        let others = |seat: u32| wants(seat).filter(|(other, _)| other != order);
        let held = |seat: u32| others(seat).any(|(other, _)| charged.iter().any(|(asked, _)| asked == other));
        case.rule(
            "refused",
            seat.is_none_or(|seat| seats.contains(&seat) && held(seat)),
            format!(
                "order {order} gets its seats, or is refused for one that somebody else has or is paying for"
            ),
            format!("order {order} {seen}, and the bank was never asked about another order for that seat"),
        )?;
        case.rule(
            "charged",
            times == wanted,
            format!("order {order} {seen}: the bank is asked {} about it", count(wanted)),
            count(times),
        )?;
        // It may wait for a payment that may fail, and for nobody else.
        let paying = |at: Duration| {
            let mut rivals = seats.iter().flat_map(|seat| others(*seat));
            rivals.any(|(rival, _)| charged.iter().any(|(asked, since)| asked == rival && *since < at))
        };
        if let Some((_, at)) = charged.iter().find(|(other, _)| other == order) {
            case.rule(
                "concurrent",
                at.is_zero() || paying(*at),
                format!("nobody is paying for what order {order} wants: the bank is asked about it at once"),
                format!("it is asked after {}, all is over after {}", time(*at), time(*took)),
            )?;
        }
    }
    Ok(())
}

fn count(times: usize) -> String {
    match times {
        1 => String::from("once"),
        times => format!("{times} times"),
    }
}

fn listed(seats: &[u32]) -> String {
    let words: Vec<String> = seats.iter().map(u32::to_string).collect();
    match words.as_slice() {
        [one] => format!("seat {one}"),
        several => format!("seats {}", several.join("+")),
    }
}
