//! What is verified on any answer to `invariant`.

use common::{
    Recorder, Verdict,
    clock::{paused, paused_builder},
    draw::time,
    recorder::panic_message,
    shop::{Line, Order, Receipt, Refused, Shop},
    verdict::{Finding, Kind},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    task::{Context, Poll},
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{verdict, without_folders},
    every_await,
    simulation::tasks_left,
};
use tokio::{
    sync::oneshot,
    task::coop,
    time::{sleep, timeout},
};

type Answered = Result<Receipt, Refused>;
type Answer<'a> = &'a dyn Fn(Shop, Order) -> BoxFuture<'static, Answered>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Shop, Order) -> F) -> Verdict
where
    F: Future<Output = Answered> + Send + 'static,
{
    let answer: Answer<'_> = &|shop, order| answer(shop, order).boxed();
    verdict(|| {
        for scene in scenes() {
            unchanged(answer, &scene)?;
        }
        two_at_once(answer)?;
        for scene in scenes() {
            dropped_at_every_await(answer, &scene)?;
        }
        dropped_beside_another(answer)?;
        dropped_with_the_runtime(answer)
    })
}

/// An order, and what becomes of it when nobody drops it.
struct Scene {
    name: String,
    /// Item and pieces.
    lines: Vec<(u32, i64)>,
    ends: Ends,
    /// For how many milliseconds the book is in other hands when it is to be written.
    busy: u64,
}

/// How a checkout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Well,
    /// At the line of that number, counted from 0.
    SoldOut(usize),
    Declined,
    Unwritten,
}

/// What the shelf holds of each item in the beginning, and the order's number.
const STOCK: i64 = 10;
const ORDER: u32 = 41;

fn scenes() -> Vec<Scene> {
    let scene = |name: &str, lines: &[(u32, i64)], ends| Scene {
        name: name.to_owned(),
        lines: lines.to_vec(),
        ends,
        busy: 0,
    };
    let busy = |name: &str, lines: &[(u32, i64)], ends| Scene { busy: 10, ..scene(name, lines, ends) };
    vec![
        scene("an order with 2 lines", &[(7, 2), (3, 1)], Ends::Well),
        scene("an order with 1 line", &[(5, 10)], Ends::Well),
        scene("an order with 4 lines, 2 of them for one item", &[(4, 1), (9, 3), (4, 2), (6, 1)], Ends::Well),
        scene("an order whose payment is declined", &[(2, 4), (8, 1)], Ends::Declined),
        scene("an order whose third line is sold out", &[(1, 2), (5, 1), (6, 11)], Ends::SoldOut(2)),
        scene("an order whose first line is sold out", &[(1, 12), (5, 1)], Ends::SoldOut(0)),
        scene("an order that cannot be written", &[(3, 3), (2, 2)], Ends::Unwritten),
        busy("an order that waits for the book", &[(8, 2)], Ends::Well),
        busy("an order that waits for the book and cannot be written", &[(2, 1)], Ends::Unwritten),
    ]
}

impl Scene {
    fn order(&self) -> Order {
        let lines = self.lines.iter().map(|(item, pieces)| Line { item: *item, pieces: *pieces }).collect();
        Order { id: ORDER, lines, cents: 1250 }
    }

    fn shop(&self, recorder: &Recorder) -> Shop {
        let shop = (1..=9)
            .fold(Shop::new(recorder).busy_book(Duration::from_millis(self.busy)), |shop, item| {
                shop.stocked(item, STOCK)
            });
        match self.ends {
            Ends::Declined => shop.declining(ORDER),
            Ends::Unwritten => shop.unable_to_write(ORDER),
            Ends::Well | Ends::SoldOut(_) => shop,
        }
    }

    /// The calls of the program as it was shipped, in order, with their times in milliseconds.
    fn calls(&self) -> Vec<(u64, String)> {
        let mut calls: Vec<(u64, String)> = Vec::new();
        let mut now = 0;
        let mut taken = 0;
        for (item, pieces) in &self.lines {
            calls.push((now, format!("take {pieces} of item {item}")));
            now += 5;
            if self.ends == Ends::SoldOut(taken) {
                break;
            }
            taken += 1;
        }
        if !matches!(self.ends, Ends::SoldOut(_)) {
            calls.push((now, format!("charge order {ORDER}")));
            now += 20;
            if self.ends != Ends::Declined {
                calls.push((now, format!("write order {ORDER}")));
                now += self.busy;
            }
            match self.ends {
                Ends::Well => calls.push((now, format!("mail about order {ORDER}"))),
                Ends::Unwritten => calls.push((now, String::from("refund payment 1"))),
                Ends::Declined | Ends::SoldOut(_) => {}
            }
        }
        if self.ends != Ends::Well {
            let lines = self.lines[..taken].iter();
            calls.extend(lines.map(|(item, pieces)| (now, format!("put back {pieces} of item {item}"))));
        }
        calls
    }
}

fn unchanged(answer: Answer<'_>, scene: &Scene) -> Checked {
    let case = Case::run(format!("{}, dropped nowhere", scene.name), async |recorder| {
        let shop = scene.shop(&recorder);
        let answered = answer(shop.clone(), scene.order()).await;
        let lanes = recorder.trace().lanes;
        let calls: Vec<(u64, String)> = lanes
            .into_iter()
            .map(|lane| (u64::try_from(lane.born.as_millis()).unwrap_or(u64::MAX), lane.name))
            .collect();
        tasks_left().await;
        let books = balanced(&shop, &[scene.order()], &(1..=9).collect::<Vec<_>>()).await;
        (answered, calls, books)
    })?;
    let (answered, calls, books) = &case.value;
    // Pieces or money that are wrong tell more than the call that is one too many.
    if let Err((rule, seen)) = books {
        case.rule(rule, false, "the shelf, the bank and the book agree", seen)?;
    }
    let told = match answered {
        Ok(receipt) => format!("a receipt for order {}, payment {}", receipt.order, receipt.payment.id),
        Err(refused) => format!("a refusal: {refused}"),
    };
    let wanted = match scene.ends {
        Ends::Well => format!("a receipt for order {ORDER}, payment 1"),
        Ends::SoldOut(line) => format!("a refusal: {}", Refused::SoldOut { item: scene.lines[line].0 }),
        Ends::Declined => format!("a refusal: {}", Refused::Declined { order: ORDER }),
        Ends::Unwritten => format!("a refusal: {}", Refused::Unwritten { order: ORDER }),
    };
    case.rule("unchanged", told == wanted, wanted, told)?;
    // In which order things are undone in one moment is nobody's concern.
    let (mut missing, mut more) = (scene.calls(), Vec::new());
    for call in calls {
        match missing.iter().position(|wanted| wanted == call) {
            Some(place) => drop(missing.swap_remove(place)),
            None => more.push(call.clone()),
        }
    }
    missing.sort();
    let kept = missing.is_empty() && more.is_empty();
    case.rule("unchanged", kept, listed(&missing), listed(&more))
}

/// Two orders that have nothing in common take as long as one.
fn two_at_once(answer: Answer<'_>) -> Checked {
    let case = Case::run("2 orders of 1 line at once, dropped nowhere", async |recorder| {
        let shop = Shop::new(&recorder).stocked(1, STOCK).stocked(2, STOCK);
        let (first, second) =
            tokio::join!(answer(shop.clone(), one_line(1, 1)), answer(shop.clone(), one_line(2, 2)));
        (first.is_ok() && second.is_ok(), shop.orders().await.len())
    })?;
    let (well, written) = case.value;
    case.rule(
        "unchanged",
        well && written == 2,
        "2 receipts, 2 orders written",
        format!("{}, {written} orders written", if well { "2 receipts" } else { "a refusal" }),
    )?;
    let wanted = Duration::from_millis(35);
    case.rule(
        "unchanged",
        case.elapsed == wanted,
        format!("both are through after {}, as one alone is", time(wanted)),
        format!("{}: one waits for the other", time(case.elapsed)),
    )
}

fn one_line(id: u32, item: u32) -> Order {
    Order { id, lines: vec![Line { item, pieces: 1 }], cents: 100 }
}

fn dropped_at_every_await(answer: Answer<'_>, scene: &Scene) -> Checked {
    let recorder = RefCell::new(None);
    let broken = Cell::new(None);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        every_await(
            || {
                let recorder = recorder.borrow_mut().insert(Recorder::new(&scene.name)).clone();
                (scene.shop(&recorder), scene.order())
            },
            |(shop, order)| answer(shop.clone(), order.clone()),
            async |(shop, order)| {
                balanced(&shop, &[order], &(1..=9).collect::<Vec<_>>()).await.map_err(|(rule, seen)| {
                    broken.set(Some(rule));
                    seen
                })
            },
        )
    }));
    let (kind, rule, seen) = match ended {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(seen)) => match broken.get() {
            Some(rule) => (Kind::RuleBroken, rule, seen),
            None if seen.contains(": a destructor panicked") => (Kind::Panic, "no-panic", seen),
            None => (Kind::Leak, "no-leak", seen),
        },
        Err(payload) => (Kind::Panic, "no-panic", panic_message(&*payload).to_owned()),
    };
    Err(found(kind, rule, &seen, &scene.name, recorder.into_inner().as_ref()))
}

/// One of two checkouts is dropped: the other must not notice.
fn dropped_beside_another(answer: Answer<'_>) -> Checked {
    for after in [2, 5, 12, 25, 30] {
        let after = Duration::from_millis(after);
        let case = Case::run(
            format!("2 orders for one item, the first dropped after {}", time(after)),
            async |recorder| {
                let shop = Shop::new(&recorder).stocked(1, STOCK);
                let (first, second) = tokio::join!(
                    timeout(after, answer(shop.clone(), one_line(1, 1))),
                    answer(shop.clone(), one_line(2, 1)),
                );
                drop(first);
                tasks_left().await;
                sleep(Duration::from_secs(5)).await;
                (second.is_ok(), balanced(&shop, &[one_line(1, 1), one_line(2, 1)], &[1]).await)
            },
        )?;
        let (second, books) = &case.value;
        case.rule("unchanged", *second, "a receipt for the second order", "a refusal")?;
        if let Err((rule, seen)) = books {
            case.rule(rule, false, "the shelf, the bank and the book agree", seen)?;
        }
    }
    Ok(())
}

/// A server that shuts down drops its tasks, and from then on runs none: at each await, and what a destructor leaves to a
/// task or a thread is left undone.
fn dropped_with_the_runtime(answer: Answer<'_>) -> Checked {
    for mut scene in [Ends::Well, Ends::Unwritten].map(|ends| Scene {
        name: String::new(),
        lines: vec![(1, 2), (2, 3)],
        ends,
        busy: 0,
    }) {
        for at in 1..=50 {
            scene.name = format!("2 lines, the server shuts down at await {at}");
            if shut_down(answer, &scene, at)? {
                break;
            }
        }
    }
    Ok(())
}

/// Gives whether it came to its end before that.
fn shut_down(answer: Answer<'_>, scene: &Scene, at: usize) -> Checked<bool> {
    let recorder = RefCell::new(None);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // The shutdown comes before anything else runs, also a task that was spawned by the poll before.
        let runtime = paused_builder().event_interval(1).max_blocking_threads(1).build();
        let runtime = runtime.expect("no runtime: the process is out of file descriptors or memory");
        let (release, held) = mpsc::channel::<()>();
        let (shop, ended) = runtime.block_on(async {
            let recorder = recorder.borrow_mut().insert(Recorder::new(&scene.name)).clone();
            let shop = scene.shop(&recorder);
            let (tell, told) = oneshot::channel();
            let (mut tell, mut polls, mut call) = (Some(tell), 0, answer(shop.clone(), scene.order()));
            let task = tokio::spawn(poll_fn(move |cx| {
                use_up_the_budget(cx, polls > 0);
                polls += 1;
                let ended = call.poll_unpin(cx).is_ready();
                if (ended || polls == at)
                    && let Some(tell) = tell.take()
                {
                    // Nobody listens any more? Then it has shut down already.
                    let _ = tell.send(ended);
                }
                if ended { Poll::Ready(()) } else { Poll::Pending }
            }));
            let ended = told.await.unwrap_or_else(|_| panic!("the answer panicked"));
            drop(task);
            // The only thread for what blocks: a clock does not move while it is busy, so not before.
            drop(tokio::task::spawn_blocking(move || held.recv()));
            (shop, ended)
        });
        runtime.shutdown_background();
        let balanced = paused(balanced(&shop, &[scene.order()], &[1, 2]));
        drop(release);
        balanced.map(|()| ended)
    }));
    let (kind, rule, seen) = match ended {
        Ok(Ok(ended)) => return Ok(ended),
        Ok(Err((rule, seen))) => (Kind::RuleBroken, rule, seen),
        Err(payload) => (Kind::Panic, "no-panic", panic_message(&*payload).to_owned()),
    };
    Err(found(kind, rule, &seen, &scene.name, recorder.into_inner().as_ref()))
}

/// So that an await that would be ready gives way once, but for the one that did before.
fn use_up_the_budget(cx: &mut Context<'_>, but_one: bool) {
    while let Poll::Ready(unit) = coop::poll_proceed(cx) {
        if !coop::has_budget_remaining() {
            if !but_one {
                unit.made_progress();
            }
            break;
        }
        unit.made_progress();
    }
}

/// The verdict on a checkout that was dropped.
fn found(kind: Kind, rule: &str, seen: &str, case: &str, recorder: Option<&Recorder>) -> Box<Verdict> {
    let expected = match rule {
        "nothing-lost" => "what was done before the drop is undone, or the order is in the book",
        "nothing-made-up" => {
            "what is undone is what was done, once, and only if the order is not in the book"
        }
        "no-leak" => "nothing runs on when it has been dropped",
        _ => "the answer itself does not panic",
    };
    Box::new(Verdict::found(
        kind,
        Finding {
            rule: Some(rule.to_owned()),
            case: case.to_owned(),
            expected: expected.to_owned(),
            seen: without_folders(seen),
            trace: recorder.map(Recorder::trace),
        },
    ))
}

/// Whether shelf, bank and book agree; else the rule that is broken, and what was seen.
async fn balanced(shop: &Shop, orders: &[Order], items: &[u32]) -> Result<(), (&'static str, String)> {
    let written = shop.orders().await;
    let state = match written.as_slice() {
        [] => String::from("no order is written"),
        written => format!("{} written", ids(written)),
    };
    for order in orders {
        let times = written.iter().filter(|other| other.id == order.id).count();
        if times > 1 {
            return Err(("nothing-made-up", format!("order {} is written {times} times", order.id)));
        }
    }
    for item in items {
        let sold: i64 = written
            .iter()
            .flat_map(|order| &order.lines)
            .filter(|line| line.item == *item)
            .map(|line| line.pieces)
            .sum();
        let (left, wanted) = (shop.on_the_shelf(*item), STOCK - sold);
        if left != wanted {
            let rule = if left < wanted { "nothing-lost" } else { "nothing-made-up" };
            return Err((rule, format!("{state}, and the shelf has {left} of item {item}, not {wanted}")));
        }
    }
    let wanted: i64 = written.iter().map(|order| order.cents).sum();
    let has = shop.balance();
    if has == wanted {
        return Ok(());
    }
    let rule = if has > wanted { "nothing-lost" } else { "nothing-made-up" };
    Err((rule, format!("{state}, and the bank has {has} cents of the customer's, not {wanted}")))
}

fn ids(orders: &[Order]) -> String {
    let ids: Vec<String> = orders.iter().map(|order| order.id.to_string()).collect();
    match ids.as_slice() {
        [one] => format!("order {one} is"),
        several => format!("orders {} are", several.join(" and ")),
    }
}

/// Calls on which it and the program that was shipped do not agree.
fn listed(calls: &[(u64, String)]) -> String {
    if calls.is_empty() {
        return String::from("beside the calls that agree, none");
    }
    let calls: Vec<String> = calls.iter().map(|(at, call)| format!("{call} at {at} ms")).collect();
    format!("beside the calls that agree, {}", calls.join(", "))
}
