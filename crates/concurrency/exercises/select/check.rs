//! What is verified on any answer to `select`.

use common::{
    Backend, Recorder, Verdict,
    backend::{Call, Outcome},
    draw::time,
    verdict::Kind,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use testing::{
    Case, Checked,
    calls::{asked_for_each, nothing_runs_on, seen_to_their_end},
    case::{breaks, verdict},
    latencies,
    latencies::shuffled,
    simulation::tasks_left,
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

type Answer<'a> =
    &'a dyn Fn(Backend, Receiver<u32>, Sender<String>, CancellationToken) -> BoxFuture<'static, ()>;

const PERIOD: Duration = ms(100);

/// By so many orders may a tick or the stop be late. One is enough for `biased`. A fair `select!` starts at any of its three
/// arms and walks on past those that are not ready, so with (stop, orders, ticks) the orders win two times out of three;
/// they do so as often as this, one after the other, less than once in ten million times.
const FEW: usize = 40;

/// How many orders wait in their channel.
const ROOM: usize = 4;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(
    answer: impl Fn(Backend, Receiver<u32>, Sender<String>, CancellationToken) -> F,
) -> Verdict
where
    F: Future<Output = ()> + Send + 'static,
{
    let answer: Answer<'_> = &|backend, orders, lines, stop| answer(backend, orders, lines, stop).boxed();
    verdict(|| {
        for day in days() {
            whole_day(answer, &day)?;
        }
        quiet_day(answer)?;
        for after in [5, 35, 95, 145, 255, 333] {
            stops(answer, ms(after), Feed::Busy)?;
            stops(answer, ms(after), Feed::Calm)?;
        }
        for after in [35, 145, 250] {
            stops(answer, ms(after), Feed::SlowlyRead)?;
        }
        for after in [5, 150] {
            stops_with_a_permit(answer, ms(after))?;
        }
        for after in [45, 250] {
            stops_when_idle(answer, ms(after))?;
        }
        for after in [5, 45, 150, 215] {
            drops(answer, ms(after))?;
        }
        Ok(())
    })
}

/// Orders, and how long the backend takes for each.
struct Day {
    name: &'static str,
    orders: Vec<(u32, Duration)>,
    /// The pause before each order.
    pause: Duration,
    /// What the reader of the lines takes for each.
    reader: Duration,
}

impl Day {
    fn longest(&self) -> Duration {
        self.orders.iter().map(|(_, takes)| *takes).max().unwrap_or_default() + 4 * self.reader
    }

    fn backend(&self, recorder: &Recorder) -> Backend {
        self.orders.iter().fold(Backend::new(recorder), |backend, (id, takes)| {
            backend.on(*id, *takes, if id.is_multiple_of(11) { Outcome::Fail } else { Outcome::Reply })
        })
    }

    fn ids(&self) -> Vec<u32> {
        self.orders.iter().map(|(id, _)| *id).collect()
    }
}

fn drawn(seed: u64, count: u32, longest: u128) -> Vec<(u32, Duration)> {
    let ids = shuffled(seed, count);
    let takes = latencies(seed, ids.len()).into_iter().map(|drawn| drawn.as_millis() / 10 * 7 % longest);
    ids.into_iter().zip(takes.map(|takes| ms(1 + takes as u64))).collect()
}

fn days() -> Vec<Day> {
    let day = |name, orders, pause, reader| Day { name, orders, pause: ms(pause), reader: ms(reader) };
    let slow = [(1, 20), (2, 20), (3, 570), (4, 30), (5, 30), (6, 30), (7, 200)];
    let slow = slow.map(|(id, takes)| (id, ms(takes))).to_vec();
    vec![
        day("12 orders at once, up to 40 ms each", drawn(1, 12, 40), 0, 0),
        day("60 orders at once, up to 60 ms each", drawn(2, 60, 60), 0, 0),
        day("40 orders, one every 60 ms, up to 50 ms each", drawn(3, 40, 50), 60, 0),
        day("7 orders, of which the third takes 570 ms", slow, 0, 0),
        day(
            "20 orders at once, up to 30 ms each; who reads the lines takes 35 ms for each",
            drawn(4, 20, 30),
            0,
            35,
        ),
        day("300 orders at once, up to 9 ms each", drawn(5, 300, 9), 0, 0),
        day("one order every 240 ms, 5 of them", drawn(6, 5, 50), 240, 0),
    ]
}

/// What was written, and when.
#[derive(Default, Clone)]
struct Written {
    lines: Vec<(String, Duration)>,
}

impl Written {
    fn of_orders(&self) -> Vec<String> {
        self.lines.iter().filter(|(line, _)| !is_sum(line)).map(|(line, _)| line.clone()).collect()
    }

    fn sums(&self) -> Vec<Duration> {
        self.lines.iter().filter(|(line, _)| is_sum(line)).map(|(_, at)| *at).collect()
    }
}

fn is_sum(line: &str) -> bool {
    line.starts_with("so far: ")
}

/// Reads lines until nobody writes any more.
async fn read(
    mut lines: Receiver<String>,
    takes: Duration,
    recorder: Recorder,
    written: Arc<Mutex<Written>>,
) {
    while let Some(line) = lines.recv().await {
        lock(&written).lines.push((line, recorder.now()));
        if !takes.is_zero() {
            sleep(takes).await;
        }
    }
}

/// What came of a run.
struct Seen {
    written: Written,
    calls: Vec<Call>,
    peak: usize,
    tasks: usize,
    accepted: Vec<u32>,
    returned: Duration,
}

impl Seen {
    fn answered_between(&self, from: Duration, to: Duration) -> usize {
        let answered = self.calls.iter().filter_map(|call| call.ended).map(|(at, _)| at);
        answered.filter(|at| from <= *at && *at <= to).count()
    }
}

fn whole_day(answer: Answer<'_>, day: &Day) -> Checked {
    let case = Case::run(day.name, async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let room = if day.pause.is_zero() { day.orders.len() } else { 4 };
        let (order, orders) = channel(room);
        let (line, lines) = channel(if day.reader.is_zero() { 1024 } else { 1 });
        let written = Arc::new(Mutex::new(Written::default()));
        let run = async {
            answer(backend.clone(), orders, line, CancellationToken::new()).await;
            recorder.now()
        };
        let feed = async {
            for id in day.ids() {
                if !day.pause.is_zero() {
                    sleep(day.pause).await;
                }
                order.send(id).await.ok();
            }
            drop(order);
        };
        let reader = read(lines, day.reader, recorder.clone(), written.clone());
        let (returned, (), ()) = tokio::join!(run, feed, reader);
        let written = lock(&written).clone();
        let (peak, tasks) = (backend.peak(), backend.peak_tasks());
        Seen { written, calls: backend.calls(), peak, tasks, accepted: day.ids(), returned }
    })?;
    let seen = &case.value;
    every_order(&case, day, seen)?;
    ticks(&case, seen, day.longest(), seen.returned)?;
    ends_with_the_last_order(&case, "ends", seen, Duration::ZERO)
}

fn quiet_day(answer: Answer<'_>) -> Checked {
    let case = Case::run("no orders for 450 ms, and then none any more", async |recorder: Recorder| {
        let (order, orders) = channel(4);
        let (line, lines) = channel(64);
        let written = Arc::new(Mutex::new(Written::default()));
        let run = async {
            answer(Backend::new(&recorder), orders, line, CancellationToken::new()).await;
            recorder.now()
        };
        let close = async {
            sleep(ms(450)).await;
            drop(order);
        };
        let reader = read(lines, Duration::ZERO, recorder.clone(), written.clone());
        let (returned, (), ()) = tokio::join!(run, close, reader);
        let written = lock(&written).clone();
        Seen { written, calls: Vec::new(), peak: 0, tasks: 0, accepted: Vec::new(), returned }
    })
    .map_err(breaks(Kind::Hang, "ends", "an end when nobody orders any more"))?;
    let seen = &case.value;
    ticks(&case, seen, Duration::ZERO, ms(450))?;
    case.rule(
        "ends",
        seen.returned == ms(450),
        "an end at 450 ms, when nobody orders any more",
        format!("an end at {}", time(seen.returned)),
    )
}

fn every_order<T>(case: &Case<T>, day: &Day, seen: &Seen) -> Checked {
    let line = |id: &u32| match id.is_multiple_of(11) {
        true => format!("order {id}: item {id} is unavailable"),
        false => format!("order {id}: item {id}"),
    };
    let wanted: Vec<String> = seen.accepted.iter().map(line).collect();
    let found = seen.written.of_orders();
    let count = |lines: &[String], line: &String| lines.iter().filter(|known| *known == line).count();
    let lost: Vec<&str> = wanted
        .iter()
        .filter(|line| count(&found, line) == 0)
        .map(|line| line.split(':').next().unwrap_or(line))
        .collect();
    let some = |lost: &[&str]| match lost {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and {} more", lost.len() - 3),
        few => few.join(", "),
    };
    case.rule(
        "every-order",
        lost.is_empty(),
        format!("a line for each of {} orders", wanted.len()),
        format!("{} are missing: {}", lost.len(), some(&lost)),
    )?;
    let more = found.iter().find(|line| count(&found, line) > count(&wanted, line));
    case.rule(
        "every-order",
        more.is_none(),
        "one line for each order",
        more.map(|line| format!("{} times {line:?}", count(&found, line))).unwrap_or_default(),
    )?;
    case.rule(
        "one-at-a-time",
        seen.peak <= 1,
        "at most 1 order asked for at once",
        format!("{} at once", seen.peak),
    )?;
    case.rule(
        "one-at-a-time",
        seen.tasks <= 4,
        "no task for each order",
        format!("{} tasks alive at once", seen.tasks),
    )?;
    asked_for_each(case, "asked-once", &seen.accepted, &seen.calls)?;
    seen_to_their_end(case, "asked-once", &seen.calls)?;
    let out_of_order = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    case.rule(
        "order",
        out_of_order.is_none(),
        out_of_order.map(|(_, wanted)| format!("{wanted:?} next")).unwrap_or_default(),
        out_of_order.map(|(found, _)| format!("{found:?}")).unwrap_or_default(),
    )?;
    if !day.reader.is_zero() {
        return Ok(());
    }
    let late = found.iter().find_map(|line| {
        let at = seen.written.lines.iter().find(|(known, _)| known == line)?.1;
        let call = seen.calls.iter().find(|call| line.starts_with(&format!("order {}:", call.id)))?;
        let (due, _) = call.ended?;
        (at > due).then_some((line, due, at))
    });
    case.rule(
        "order",
        late.is_none(),
        late.map(|(line, due, _)| format!("{line:?} at {}, when its answer is there", time(due)))
            .unwrap_or_default(),
        late.map(|(_, _, at)| format!("at {}", time(at))).unwrap_or_default(),
    )
}

/// Ticks up to a moment, of which each may be late by a few orders.
fn ticks<T>(case: &Case<T>, seen: &Seen, slack: Duration, until: Duration) -> Checked {
    let sums = seen.written.sums();
    let mut before = Duration::ZERO;
    for at in sums.iter().copied().filter(|at| *at <= until).chain([until]) {
        let orders = seen.answered_between(before + PERIOD, at);
        case.rule(
            "ticks",
            at - before <= PERIOD + slack || orders <= FEW && orders > 0,
            format!("a line `so far` every {}, late by {FEW} orders at most", time(PERIOD)),
            format!("none from {} to {}, {orders} orders late", time(before), time(at)),
        )?;
        before = at;
    }
    let burst = sums.windows(3).find(|three| three[2] < three[0] + PERIOD);
    case.rule(
        "bursts",
        burst.is_none(),
        "never more than two lines `so far` within less than 100 ms",
        burst
            .map(|three| {
                let many = sums.iter().filter(|at| **at >= three[0] && **at < three[0] + PERIOD).count();
                format!("{many} from {} on", time(three[0]))
            })
            .unwrap_or_default(),
    )?;
    let most = until.as_millis() / PERIOD.as_millis() + 1;
    let found = sums.iter().filter(|at| **at <= until).count();
    case.rule(
        "bursts",
        found as u128 <= most,
        format!("at most {most} lines `so far` in {}", time(until)),
        format!("{found}"),
    )?;
    let mut orders = 0;
    for (line, at) in &seen.written.lines {
        let Some(told) = line.strip_prefix("so far: ") else {
            orders += 1;
            continue;
        };
        // One that counts beside the loop, after it has written, may be one behind; one ahead is a promise.
        let near = told.parse::<usize>().is_ok_and(|told| told <= orders && orders <= told + 1);
        case.rule("ticks", near, format!("`so far: {orders}` at {}", time(*at)), format!("`{line}`"))?;
    }
    Ok(())
}

/// It returns when the last order is written, or when it is stopped, if that is later.
fn ends_with_the_last_order<T>(case: &Case<T>, rule: &str, seen: &Seen, stopped: Duration) -> Checked {
    let answered = seen.calls.iter().filter_map(|call| call.ended).map(|(at, _)| at);
    // Who reads slowly holds up the lines before the last one.
    let read = seen.written.lines.iter().map(|(_, at)| *at);
    let due = answered.chain(read).max().unwrap_or_default().max(stopped);
    case.rule(
        rule,
        seen.returned <= due,
        format!("an end at {}, when the last order is written", time(due)),
        format!("an end at {}", time(seen.returned)),
    )
}

/// What comes in until the stop.
#[derive(Clone, Copy)]
enum Feed {
    /// There is always another order waiting.
    Busy,
    /// The queue is as good as empty.
    Calm,
    /// As many orders as there is room for, but who reads the lines takes his time, and they have to wait.
    SlowlyRead,
}

fn stops(answer: Answer<'_>, after: Duration, feed: Feed) -> Checked {
    let (orders, pause, reader) = match feed {
        Feed::Busy => ("always 4 orders waiting", 0, 0),
        Feed::Calm => ("an order every 50 ms", 50, 0),
        Feed::SlowlyRead => ("always 4 orders waiting, and 35 ms to read a line", 0, 35),
    };
    let day = &Day { name: "", orders: drawn(7, 200, 40), pause: ms(pause), reader: ms(reader) };
    let name = format!("{orders}, up to 40 ms each; `stop` is cancelled after {}", time(after));
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (order, orders) = channel(ROOM);
        let (line, lines) = channel(if day.reader.is_zero() { 1024 } else { 1 });
        let written = Arc::new(Mutex::new(Written::default()));
        let stop = CancellationToken::new();
        let run = async {
            answer(backend.clone(), orders, line, stop.clone()).await;
            recorder.now()
        };
        let feed = async {
            let mut accepted = Vec::new();
            let mut ahead = 0;
            for id in day.ids() {
                if !day.pause.is_zero() {
                    // Refused is refused: who waits for the next order to be sent is told as well.
                    tokio::select! {
                        () = sleep(day.pause) => {}
                        () = order.closed() => break,
                    }
                }
                if order.send(id).await.is_err() {
                    break;
                }
                accepted.push(id);
                let answered = backend.calls().iter().filter(|call| call.ended.is_some()).count();
                ahead = ahead.max((accepted.len() - answered).saturating_sub(ROOM));
            }
            (accepted, ahead, recorder.now())
        };
        let cancel = async {
            sleep(after).await;
            stop.cancel();
        };
        let reader = read(lines, day.reader, recorder.clone(), written.clone());
        let (returned, (accepted, ahead, refused), (), ()) = tokio::join!(run, feed, cancel, reader);
        let written = lock(&written).clone();
        let (peak, tasks) = (backend.peak(), backend.peak_tasks());
        (Seen { written, calls: backend.calls(), peak, tasks, accepted, returned }, ahead, refused)
    })
    .map_err(breaks(Kind::Hang, "stop", "an end, soon after the stop"))
    .map_err(breaks(Kind::Deadlock, "stop", "an end, soon after the stop"))?;
    let (seen, ahead, refused) = &case.value;
    let late = seen.answered_between(after, *refused);
    case.rule(
        "stop",
        late <= FEW,
        format!("orders are refused {FEW} orders after {}, at the latest", time(after)),
        format!("refused at {}, {late} orders later", time(*refused)),
    )?;
    case.rule(
        "back-pressure",
        *ahead <= FEW,
        format!(
            "at most {FEW} orders are taken before there is time for them; the others wait in their channel"
        ),
        format!("{ahead} taken"),
    )?;
    every_order(&case, day, seen)?;
    ends_with_the_last_order(&case, "stop", seen, after)?;
    ticks(&case, seen, day.longest(), after)
}

/// Stopped while a sender holds a permit: there is a place in the channel for its order, which comes 20 ms later.
fn stops_with_a_permit(answer: Answer<'_>, after: Duration) -> Checked {
    let day = &Day { name: "", orders: drawn(9, 4, 40), pause: ms(0), reader: ms(0) };
    let name = format!(
        "4 orders, up to 40 ms each, one of which has a permit when `stop` is cancelled after {}, and is sent 20 ms later",
        time(after)
    );
    let case = Case::run(name, async |recorder: Recorder| {
        let backend = day.backend(&recorder);
        let (order, orders) = channel(ROOM);
        let (line, lines) = channel(64);
        let written = Arc::new(Mutex::new(Written::default()));
        let stop = CancellationToken::new();
        let run = async {
            answer(backend.clone(), orders, line, stop.clone()).await;
            recorder.now()
        };
        let feed = async {
            let ids = day.ids();
            let mut accepted = Vec::new();
            let permit = order.reserve().await;
            for id in &ids[..3] {
                if order.send(*id).await.is_ok() {
                    accepted.push(*id);
                }
            }
            sleep(after).await;
            stop.cancel();
            sleep(ms(20)).await;
            if let Ok(permit) = permit {
                permit.send(ids[3]);
                accepted.push(ids[3]);
            }
            accepted
        };
        let reader = read(lines, Duration::ZERO, recorder.clone(), written.clone());
        let (returned, accepted, ()) = tokio::join!(run, feed, reader);
        let written = lock(&written).clone();
        let (peak, tasks) = (backend.peak(), backend.peak_tasks());
        Seen { written, calls: backend.calls(), peak, tasks, accepted, returned }
    })
    .map_err(breaks(Kind::Hang, "stop", "an end, when the order with the permit is written"))
    .map_err(breaks(Kind::Deadlock, "stop", "an end, when the order with the permit is written"))?;
    every_order(&case, day, &case.value)?;
    ends_with_the_last_order(&case, "stop", &case.value, after + ms(20))
}

fn stops_when_idle(answer: Answer<'_>, after: Duration) -> Checked {
    let name = format!("no orders; `stop` is cancelled after {}", time(after));
    let case = Case::run(name, async |recorder: Recorder| {
        let (order, orders) = channel::<u32>(4);
        let (line, lines) = channel(64);
        let stop = CancellationToken::new();
        let cancel = async {
            sleep(after).await;
            stop.cancel();
        };
        tokio::join!(answer(Backend::new(&recorder), orders, line, stop.clone()), cancel);
        let returned = recorder.now();
        drop((order, lines));
        returned
    })
    .map_err(breaks(Kind::Hang, "stop", "an end at the stop"))
    .map_err(breaks(Kind::Deadlock, "stop", "an end at the stop"))?;
    case.rule(
        "stop",
        case.value == after,
        format!("an end at {}", time(after)),
        format!("an end at {}", time(case.value)),
    )
}

fn drops(answer: Answer<'_>, after: Duration) -> Checked {
    let case =
        Case::run(format!("20 orders at once, dropped after {}", time(after)), async |recorder: Recorder| {
            let day = Day { name: "", orders: drawn(8, 20, 60), pause: ms(0), reader: ms(0) };
            let backend = day.backend(&recorder);
            let (order, orders) = channel(32);
            let (line, mut lines) = channel(1024);
            for id in day.ids() {
                order.send(id).await.ok();
            }
            timeout(after, answer(backend.clone(), orders, line, CancellationToken::new())).await.ok();
            // Aborted tasks go when the scheduler next looks at them; give it that chance, but no time.
            tasks_left().await;
            let (calls, running) = (backend.calls().len(), backend.in_flight());
            while lines.try_recv().is_ok() {}
            // What runs on in spite of it is seen, and told by this rule rather than as a leak.
            timeout(Duration::from_secs(5), async {
                let mut more = 0;
                while lines.recv().await.is_some() {
                    more += 1;
                }
                more
            })
            .await
            .map(|lines| (running, backend.calls().len() - calls, lines))
            .unwrap_or((running, backend.calls().len() - calls, 1))
        })
        .map_err(breaks(Kind::Leak, "dropped", "nothing that `run` has started is alive"))?;
    let (running, more, lines) = case.value;
    nothing_runs_on(&case, "dropped", running, more)?;
    case.rule("dropped", lines == 0, "no line is written any more", format!("{lines} lines after the drop"))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
