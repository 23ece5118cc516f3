//! What is verified on any answer to `rate_limit`.

use common::{
    Backend, Verdict,
    draw::time,
    verdict::{Kind, Kind::Leak},
};
use futures_util::future::BoxFuture;
use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use testing::{
    Case, Checked,
    case::{breaks, verdict},
    latencies::shuffled,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Waits for a turn.
pub(crate) type Acquire = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What makes limits of the type `RateLimit` of a module.
macro_rules! limits {
    ($($module:ident)::+) => {
        |per_second, burst| -> check::Acquire {
            let limit = std::sync::Arc::new($($module)::+::RateLimit::new(per_second, burst));
            std::sync::Arc::new(move || {
                let limit = limit.clone();
                Box::pin(async move { limit.acquire().await })
            })
        }
    };
}
pub(crate) use limits;

type Make<'a> = &'a dyn Fn(NonZeroU32, NonZeroU32) -> Acquire;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(make: impl Fn(NonZeroU32, NonZeroU32) -> Acquire) -> Verdict {
    let make: Make<'_> = &make;
    verdict(|| {
        // Just before and just after whatever is refilled by the clock.
        Script::at_once(10, 3, 0).then(295, 3).then(10, 3).check(make)?;
        for (per_second, burst, count) in [(10, 1, 5), (10, 3, 8), (50, 2, 30), (100, 10, 40), (20, 5, 5)] {
            Script::at_once(per_second, burst, count).check(make)?;
        }
        // Rates that a second is no multiple of in milliseconds, and one that is quicker than the timer's grain.
        for (per_second, burst, count) in [(3, 1, 6), (7, 2, 20), (300, 5, 90), (2_000, 20, 150)] {
            Script::at_once(per_second, burst, count).check(make)?;
        }
        // 45 s at this rate are more than 32 bits of millionths.
        Script::at_once(2_000, 20, 30).then(45_000, 60).check(make)?;
        // Idle in between: for shorter than a burst takes to come in, and for much longer.
        for idle in [130, 250, 290, 420, 1_000, 6_000] {
            Script::at_once(10, 3, 5).then(idle, 7).then(2 * idle, 4).check(make)?;
        }
        // Borders of the seconds, and of the periods.
        for first in [7, 95, 450, 730, 985, 1_985] {
            let mut script = Script::at_once(10, 3, 0).then(first, 3).then(20, 4);
            script = script.then(900, 3);
            script.check(make)?;
            Script::at_once(20, 10, 1).then(first, 14).check(make)?;
        }
        (0..60).try_for_each(|seed| Script::drawn(seed).check(make))?;
        nobody_overtakes(make)?;
        // Somebody leaves: the first in the queue, one in the middle, the last; all but one; one that would be next soon.
        for (leaver, after) in [(1, 55), (2, 55), (4, 145), (3, 5), (1, 95), (2, 195)] {
            Script::at_once(10, 1, 5).with_leavers(|k| k == leaver, after).then(800, 2).check(make)?;
        }
        Script::at_once(10, 2, 12).with_leavers(|k| k % 3 == 2, 135).check(make)?;
        Script::at_once(50, 1, 20).with_leavers(|k| k > 0 && k < 19, 9).check(make)
    })
}

/// A task that wants to make one request.
#[derive(Debug, Clone, Copy)]
struct Request {
    comes: Duration,
    /// It is dropped if it has waited for so long.
    leaves: Option<Duration>,
    takes: Duration,
}

struct Script {
    per_second: u32,
    burst: u32,
    /// In the order in which they come.
    requests: Vec<Request>,
    name: String,
}

/// A request that was made: the position of the one who made it, and when.
type Begun = Vec<(usize, Duration)>;

impl Script {
    fn at_once(per_second: u32, burst: u32, count: u64) -> Self {
        let name = format!("{per_second} a second, {burst} at once; ");
        let script = Self { per_second, burst, requests: Vec::new(), name };
        if count > 0 { script.then(0, count) } else { script }
    }

    /// So many more, so many milliseconds after the last.
    fn then(mut self, later: u64, count: u64) -> Self {
        let comes = self.requests.last().map_or(ms(0), |last| last.comes) + ms(later);
        // What a request takes must not matter: some take longer than the time between two of them.
        self.requests.extend((0..count).map(|k| Request {
            comes,
            leaves: None,
            takes: ms(30 + 70 * (k % 4)),
        }));
        let and = if self.name.ends_with("; ") { "" } else { ", " };
        self.name = format!("{}{and}{count} come at {}", self.name, time(comes));
        self
    }

    /// Those leave if they have waited for so long.
    fn with_leavers(mut self, leaves: impl Fn(usize) -> bool, after: u64) -> Self {
        let mut leavers = 0;
        for (_, request) in self.requests.iter_mut().enumerate().filter(|(k, _)| leaves(*k)) {
            request.leaves = Some(ms(after));
            leavers += 1;
        }
        self.name = format!("{}, of which {leavers} leave after {} ms", self.name, after);
        self
    }

    fn drawn(seed: u64) -> Self {
        let (per_second, burst) = ([10, 20, 50, 100][seed as usize % 4], 1 + seed as u32 / 4 % 5);
        let mut script = Self::at_once(per_second, burst, 0);
        let mut comes = ms(0);
        for gap in shuffled(seed, 25) {
            comes += if gap < 12 { ms(0) } else { ms(u64::from(gap * gap) / 3) };
            script.requests.push(Request { comes, leaves: None, takes: ms(u64::from(gap) * 7) });
        }
        script.name = format!("{}{} come now and then, seed {seed}", script.name, script.requests.len());
        script
    }

    fn period(&self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// When each begins that does not leave, if each begins as soon as it may.
    fn right(&self) -> Begun {
        let (mut begun, mut full_at, mut before) = (Vec::new(), ms(0), ms(0));
        for (k, request) in self.requests.iter().enumerate() {
            let may = full_at.saturating_sub(self.period() * (self.burst - 1));
            let begins = request.comes.max(before).max(may);
            if request.leaves.is_some_and(|leaves| request.comes + leaves < begins) {
                continue;
            }
            begun.push((k, begins));
            full_at = full_at.max(begins) + self.period();
            before = begins;
        }
        begun
    }

    fn check(&self, make: Make<'_>) -> Checked {
        let n = |n| NonZeroU32::new(n).expect("rates are not zero");
        let leavers = self.requests.iter().any(|request| request.leaves.is_some());
        let late = if leavers { "given-back" } else { "full-rate" };
        let case = Case::run(self.name.clone(), async |recorder| {
            let mut backend = Backend::new(&recorder);
            for (id, request) in (0..).zip(&self.requests) {
                backend = backend.on(id, request.takes, common::backend::Outcome::Reply);
            }
            let acquire = make(n(self.per_second), n(self.burst));
            let (start, mut tasks) = (Instant::now(), JoinSet::new());
            for (id, request) in (0..).zip(self.requests.clone()) {
                if request.comes > start.elapsed() {
                    sleep_until(start + request.comes).await;
                }
                let (acquire, backend) = (acquire.clone(), backend.clone());
                tasks.spawn(async move {
                    let patience = request.leaves.unwrap_or(PATIENCE);
                    if timeout(patience, acquire()).await.is_ok() {
                        drop(backend.fetch(id).await);
                    }
                });
            }
            drop(acquire);
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            // Whoever looks after the limit has time to see that nobody is left.
            sleep(ms(1_000)).await;
            backend.calls().iter().map(|call| (call.id as usize, call.started)).collect::<Begun>()
        })
        .map_err(breaks(Leak, "nothing-left", "no task is left a second after the last handle was dropped"))
        .map_err(breaks(Kind::Deadlock, late, "everybody who waits gets a turn"))?;
        self.never_more(&case)?;
        self.in_order(&case)?;
        self.not_late(&case, late)
    }

    fn never_more(&self, case: &Case<Begun>) -> Checked {
        let begun = &case.value;
        // A timer wakes at whole milliseconds: of two turns that are due in between, the first may be late by its grain.
        let grain = if 1_000 % self.per_second == 0 { ms(0) } else { ms(1) };
        for (at, (_, from)) in begun.iter().enumerate() {
            for (count, (_, to)) in (1_u32..).zip(&begun[at..]) {
                let stretch = *to - *from;
                let came_in = (stretch + grain).as_nanos() * u128::from(self.per_second) / 1_000_000_000;
                let most = u128::from(self.burst) + came_in;
                let from = time(*from);
                case.rule(
                    "never-more",
                    u128::from(count) <= most,
                    format!("at most {most} in the {} from {from} on", time(stretch)),
                    format!("{count} of them"),
                )?;
            }
        }
        Ok(())
    }

    fn in_order(&self, case: &Case<Begun>) -> Checked {
        let behind = case.value.windows(2).find(|pair| pair[0].0 > pair[1].0);
        let number = |k: usize| format!("number {} (came at {})", k + 1, time(self.requests[k].comes));
        case.rule(
            "fair",
            behind.is_none(),
            behind
                .map(|pair| format!("{} before {}", number(pair[1].0), number(pair[0].0)))
                .unwrap_or_default(),
            behind.map(|pair| format!("it begins after it, at {}", time(pair[1].1))).unwrap_or_default(),
        )
    }

    fn not_late(&self, case: &Case<Begun>, late: &str) -> Checked {
        for (place, (k, begins)) in self.right().into_iter().enumerate() {
            let seen = case.value.iter().find(|(whose, _)| *whose == k).map(|(_, at)| *at);
            // Who reckons in fractions of tokens may be a millisecond late each time: the grain of the timer.
            let grain = ms(place as u64 + 1);
            let at_once = begins == self.requests[k].comes && late == "full-rate";
            case.rule(
                if at_once { "burst" } else { late },
                seen.is_some_and(|seen| seen <= begins + grain),
                format!("number {} begins at {}", k + 1, time(begins)),
                seen.map_or(String::from("it never does"), |seen| format!("it begins at {}", time(seen))),
            )?;
        }
        Ok(())
    }
}

/// Those who sleep until the same moment wake in their order on a quiet machine; under other schedules they do not.
fn nobody_overtakes(make: Make<'_>) -> Checked {
    let n = |n| NonZeroU32::new(n).expect("rates are not zero");
    let name = "50 a second, 1 at once; 6 come, 3 ms apart";
    Case::explore(
        name,
        0..40,
        async |schedule| {
            let (acquire, order) = (make(n(50), n(1)), Arc::new(Mutex::new(Vec::new())));
            let mut tasks = Vec::new();
            for k in 1..=6 {
                let (acquire, order) = (acquire.clone(), order.clone());
                let name = format!("number {k}");
                let lane = schedule.sim().recorder().clone();
                tasks.push(schedule.spawn(name.clone(), async move {
                    lane.lane(name, acquire()).await;
                    order.lock().unwrap_or_else(PoisonError::into_inner).push(k);
                }));
                // It stands in the queue before the next one comes.
                schedule.sim().settle().await;
                sleep(ms(3)).await;
            }
            drop(acquire);
            for task in tasks {
                if let Err(error) = task.await {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            sleep(ms(1_000)).await;
            let order = order.lock().unwrap_or_else(PoisonError::into_inner);
            order.clone()
        },
        |case| {
            let order: &Vec<u32> = &case.value;
            case.rule(
                "fair",
                order.is_sorted(),
                "they begin in the order in which they came",
                format!("{order:?}"),
            )
        },
    )
}

/// For who does not leave.
const PATIENCE: Duration = Duration::from_secs(50);
