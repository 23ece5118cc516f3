//! What is verified on any answer to `virtual_time`: that it accepts a right retry, and rejects wrong ones.

use common::{Recorder, Verdict, draw::time, recorder::waits_for};
use fastrand::Rng;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, LocalBoxFuture},
};
use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{case::verdict, trial};
use tokio::time::sleep;

type Call = Arc<dyn Fn() -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;
type Retry = Arc<dyn Fn(Call) -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;
type Answer<'a> = &'a dyn Fn(Retry) -> LocalBoxFuture<'static, ()>;

/// How it is tried again.
#[derive(Clone, Copy)]
struct Policy {
    /// Calls in all, at most.
    tries: u32,
    /// Whether an error may pass.
    passes: fn(ErrorKind) -> bool,
    /// How many milliseconds to wait after so many failures.
    pause: fn(u32) -> u64,
    /// The pause, some milliseconds shorter or longer.
    jitter: fn(&mut Rng, u64) -> u64,
    stops_at_success: bool,
    waits_after_the_last: bool,
    gives_the_first_error: bool,
}

const RIGHT: Policy = Policy {
    tries: 4,
    passes: |kind| {
        matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::TimedOut)
    },
    pause: |failures| 1000 << (failures - 1),
    jitter: |random, pause| random.u64(shortest(pause)..=longest(pause)),
    stops_at_success: true,
    waits_after_the_last: false,
    gives_the_first_error: false,
};

const WRONG: &[(&str, &str, Policy)] = &[
    ("tries", "a retry that makes five calls", Policy { tries: 5, ..RIGHT }),
    ("tries", "a retry that makes three calls", Policy { tries: 3, ..RIGHT }),
    ("success", "a retry that goes on after a success", Policy { stops_at_success: false, ..RIGHT }),
    ("permanent", "a retry that takes no error for a final one", Policy { passes: |_| true, ..RIGHT }),
    ("back-off", "a retry that does not wait", Policy { pause: |_| 0, ..RIGHT }),
    ("back-off", "a retry that waits 1 s each time", Policy { pause: |_| 1000, ..RIGHT }),
    (
        "back-off",
        "a retry that waits 1, 2, 3 s, a quarter less",
        Policy { pause: |failures| 1000 * u64::from(failures), jitter: |_, pause| shortest(pause), ..RIGHT },
    ),
    ("back-off", "a retry that waits 4, 2, 1 s", Policy { pause: |failures| 8000 >> failures, ..RIGHT }),
    (
        "jitter",
        "a retry of which a pause may be half as long, or half as long again",
        Policy {
            jitter: |random, pause| {
                if random.bool() {
                    random.u64(pause / 2..shortest(pause))
                } else {
                    random.u64(longest(pause) + 1..=pause * 3 / 2)
                }
            },
            ..RIGHT
        },
    ),
    (
        "jitter",
        "a retry that waits a quarter longer and 1 ms",
        Policy { jitter: |_, pause| longest(pause) + 1, ..RIGHT },
    ),
    (
        "jitter",
        "a retry that waits 1 ms less than three quarters",
        Policy { jitter: |_, pause| shortest(pause) - 1, ..RIGHT },
    ),
    // Right but for one pause: what is asked of the others, or of their sum, does not tell.
    (
        "jitter",
        "a retry of which the first pause is 2 ms too long",
        Policy { jitter: |_, pause| if pause == 1000 { longest(pause) + 2 } else { pause }, ..RIGHT },
    ),
    (
        "jitter",
        "a retry of which the second pause is 2 ms too long",
        Policy { jitter: |_, pause| if pause == 2000 { longest(pause) + 2 } else { pause }, ..RIGHT },
    ),
    (
        "jitter",
        "a retry of which the third pause is 2 ms too long",
        Policy { jitter: |_, pause| if pause == 4000 { longest(pause) + 2 } else { pause }, ..RIGHT },
    ),
    (
        "jitter",
        "a retry of which the first pause is 2 ms too short",
        Policy { jitter: |_, pause| if pause == 1000 { shortest(pause) - 2 } else { pause }, ..RIGHT },
    ),
    (
        "jitter",
        "a retry of which the second pause is 2 ms too short",
        Policy { jitter: |_, pause| if pause == 2000 { shortest(pause) - 2 } else { pause }, ..RIGHT },
    ),
    (
        "jitter",
        "a retry of which the third pause is 2 ms too short",
        Policy { jitter: |_, pause| if pause == 4000 { shortest(pause) - 2 } else { pause }, ..RIGHT },
    ),
    ("last-pause", "a retry that waits after its last call", Policy { waits_after_the_last: true, ..RIGHT }),
    ("last-error", "a retry that gives the first error", Policy { gives_the_first_error: true, ..RIGHT }),
];

/// A picture of more calls is no picture any more.
const MOST_LANES: usize = 20;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Retry) -> F) -> Verdict
where
    F: Future<Output = ()> + 'static,
{
    let answer: Answer<'_> = &|retry| answer(retry).boxed_local();
    verdict(|| {
        let no_jitter = Policy { jitter: |_, pause| pause, ..RIGHT };
        let least = Policy { jitter: |_, pause| shortest(pause), ..RIGHT };
        let most = Policy { jitter: |_, pause| longest(pause), ..RIGHT };
        for (what, policy) in [
            ("a retry that happens to wait 1, 2, 4 s", no_jitter),
            ("a retry that waits a quarter less each time", least),
            ("a retry that waits a quarter longer each time", most),
        ] {
            trial::accepts(what, async |recorder| answer(retry(recorder, policy, 0)).await)?;
        }
        for seed in 1..=16 {
            let what = format!("a retry with seed {seed}");
            trial::accepts(&what, async |recorder| answer(retry(recorder, RIGHT, seed)).await)?;
        }
        for (rule, what, policy) in WRONG {
            for seed in [1, 2] {
                trial::rejects(rule, what, async |recorder| answer(retry(recorder, *policy, seed)).await)?;
            }
        }
        Ok(())
    })
}

/// Draws itself and its calls, so that a verdict shows when they were made.
fn retry(recorder: Recorder, policy: Policy, seed: u64) -> Retry {
    let runs = AtomicUsize::new(0);
    Arc::new(move |call| {
        let prefix = match runs.fetch_add(1, Relaxed) + 1 {
            1 => String::new(),
            run => format!("{run}: "),
        };
        let name = format!("{prefix}retry");
        let (drawn, calls) = (recorder.clone(), AtomicUsize::new(0));
        let call: Call = Arc::new(move || {
            let n = calls.fetch_add(1, Relaxed) + 1;
            if drawn.trace().lanes.len() > MOST_LANES {
                return call();
            }
            drawn.try_lane(format!("{prefix}call {n}"), call()).boxed()
        });
        recorder.try_lane(name, call_again(policy, Rng::with_seed(seed), call)).boxed()
    })
}

/// What is tested: with the right policy a right one.
async fn call_again(policy: Policy, mut random: Rng, call: Call) -> io::Result<u32> {
    let mut first = None;
    for failures in 1.. {
        let result = call().await;
        let last = failures >= policy.tries;
        match result {
            Ok(_) if !policy.stops_at_success && !last => continue,
            Err(error) if (policy.passes)(error.kind()) && (!last || policy.waits_after_the_last) => {
                let pause = Duration::from_millis((policy.jitter)(&mut random, (policy.pause)(failures)));
                waits_for(&time(pause), sleep(pause)).await;
                if last {
                    return Err(error);
                }
                first.get_or_insert(error);
            }
            Err(_) if policy.gives_the_first_error && first.is_some() => break,
            result => return result,
        }
    }
    first.map_or_else(|| unreachable!("it ends with a result, or with the first error"), Err)
}

const fn shortest(pause: u64) -> u64 {
    pause - pause / 4
}

const fn longest(pause: u64) -> u64 {
    pause + pause / 4
}
