//! Drops a future at each of its awaits in turn.

use crate::{
    simulation::tasks_beyond,
    stacks::{self, Waiting},
};
use common::{clock::paused_runtime, recorder::panic_message};
use futures_util::FutureExt as _;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Handle},
    task::coop,
    time::{Instant, sleep, timeout},
};

/// Runs `operation` again and again, each time on a fresh paused runtime and a fresh state from `setup`, and drops it
/// at its first await, at its second, and so on; then once more at each, in the moment between its wake-up and its next
/// poll. After every drop, and after the run that is not dropped, `invariant` is asked.
///
/// Awaits that happen to be ready count too: tokio's cooperative budget is spent beforehand, so that each tokio await
/// (lock, channel, semaphore, timer, join handle) gives way once, also one that follows an await without a budget, such
/// as `yield_now`. What it can't see: an await of a future outside tokio's budget that is ready at once, and awaits
/// inside tasks that `operation` spawns.
///
/// It gives the number of awaits at which the future was dropped; 0 means that there were none, and nothing was proved.
///
/// # Errors
/// The first drop after which the invariant did not hold, panicked or waited for ever, or tasks were left, or in which a
/// destructor panicked: which await, on which line, and what broke. Tasks are counted at once, those that `setup` has
/// spawned apart: what a dropped operation leaves to a task of its own, is left behind. A deadlock without any drop is an
/// error too.
///
/// # Panics
/// If called from within a runtime, or if the operation has no end after 10,000 awaits. A thread that blocks is not
/// noticed: for that run it once in a [simulated run](mod@crate::sim).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use tokio::sync::Mutex;
///
/// // Two awaits between taking and giving: a drop in the middle loses the money.
/// async fn transfer(accounts: Arc<[Mutex<i32>; 2]>) {
///     *accounts[0].lock().await -= 10;
///     *accounts[1].lock().await += 10;
/// }
/// let broken = testing::every_await(
///     || Arc::new([Mutex::new(50), Mutex::new(50)]),
///     |accounts| transfer(accounts.clone()),
///     async |accounts| {
///         let sum = *accounts[0].lock().await + *accounts[1].lock().await;
///         if sum == 100 { Ok(()) } else { Err(format!("{sum} in all, not 100")) }
///     },
/// );
/// // "dropped at await 2 (src/bank.rs:9), while it waited: 90 in all, not 100"
/// assert!(broken.unwrap_err().contains("90 in all"));
/// ```
///
/// # Source
/// Stepping the budget: `tokio::task::coop` is stable since tokio 1.44.
pub fn every_await<S, F: Future>(
    setup: impl Fn() -> S,
    operation: impl Fn(&S) -> F,
    invariant: impl AsyncFn(S) -> Result<(), String>,
) -> Result<usize, String> {
    at_each_moment(|aim| {
        paused_runtime().block_on(async {
            let state = setup();
            let theirs = Handle::current().metrics().num_alive_tasks();
            let mut drop_at = DropAt::new(operation(&state), aim);
            let Ok(ended) = timeout(DAY, &mut drop_at).await else {
                let passed = drop_at.polls;
                return Err(format!(
                    "a deadlock, when nothing was dropped: it waits for ever after {passed} awaits"
                ));
            };
            let told = |what: String| drop_at.told(ended, &what);
            drop_at.dropped_well()?;
            let left = tasks_beyond(theirs).await;
            if left > 0 {
                return Err(told(tasks(left)));
            }
            // Whatever was set in motion comes to rest before the invariant is asked.
            sleep(Duration::from_secs(60)).await;
            match timeout(DAY, AssertUnwindSafe(invariant(state)).catch_unwind()).await {
                Ok(Ok(kept)) => kept.map_err(told)?,
                Ok(Err(payload)) => {
                    return Err(told(format!("the invariant panicked: {}", panic_message(&*payload))));
                }
                Err(_) => {
                    let what =
                        "the invariant waits for ever: a lock, a permit or a message was not given back";
                    return Err(told(String::from(what)));
                }
            }
            Ok(ended)
        })
    })
}

/// Virtual time after which nothing is expected to happen any more.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Like [`every_await()`], for operations with real I/O: a database, a socket. The clock is not paused, each state is made
/// by an async `setup`, and the tasks that are left are counted after `invariant`, which closes what it was given, and
/// get a second to end.
///
/// At which awaits such an operation waits depends on how quickly the other side answers. An await that is always
/// answered before the next poll is not seen; the gain over one run is that all the others are.
///
/// # Errors
/// As [`every_await()`].
///
/// # Panics
/// As [`every_await()`].
///
/// # Examples
/// ```
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
///
/// let awaits = testing::every_await::with_io(
///     async || TcpListener::bind(("127.0.0.1", 0)).await.unwrap(),
///     |listener| {
///         let there = listener.local_addr().unwrap();
///         async move { TcpStream::connect(there).await.unwrap().write_all(b"all").await.unwrap() }
///     },
///     async |listener| {
///         // Whoever was dropped before it had connected is not here.
///         let arrived = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
///         let Ok(Ok((mut stream, _))) = arrived else { return Ok(()) };
///         let mut sent = Vec::new();
///         stream.read_to_end(&mut sent).await.unwrap();
///         if sent.is_empty() || sent == b"all" { Ok(()) } else { Err(format!("half a message: {sent:?}")) }
///     },
/// );
/// assert!(awaits.unwrap() > 0);
/// ```
pub fn with_io<S, F: Future>(
    setup: impl AsyncFn() -> S,
    operation: impl Fn(&S) -> F,
    invariant: impl AsyncFn(S) -> Result<(), String>,
) -> Result<usize, String> {
    at_each_moment(|aim| {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("no runtime: the process is out of file descriptors or memory");
        runtime.block_on(async {
            let state = setup().await;
            let theirs = Handle::current().metrics().num_alive_tasks();
            let mut drop_at = DropAt::new(operation(&state), aim);
            let ended = (&mut drop_at).await;
            let told = |what: String| drop_at.told(ended, &what);
            drop_at.dropped_well()?;
            invariant(state).await.map_err(told)?;
            let deadline = Instant::now() + Duration::from_secs(1);
            let mut left = tasks_beyond(theirs).await;
            while left > 0 && Instant::now() < deadline {
                sleep(Duration::from_millis(1)).await;
                left = tasks_beyond(theirs).await;
            }
            if left > 0 {
                return Err(told(tasks(left)));
            }
            Ok(ended)
        })
    })
}

/// Like "1 task is left".
fn tasks(left: usize) -> String {
    if left == 1 { String::from("1 task is left") } else { format!("{left} tasks are left") }
}

/// Has `run` drop the operation at its first await, its second and so on, until it says that the operation came to its
/// end; that at each moment.
fn at_each_moment(run: impl Fn(Aim) -> Result<bool, String>) -> Result<usize, String> {
    let mut awaits = 0;
    for moment in [Moment::Waiting, Moment::Woken, Moment::Early] {
        for at in 1.. {
            assert!(at <= 10_000, "the operation has no end after 10,000 awaits");
            let aim = Aim { at, moment, look_closely: false };
            // Once more, for the line alone: a closer look is one poll more, which the drop is to be spared.
            let told = |what| run(Aim { look_closely: true, ..aim }).err().unwrap_or(what);
            if run(aim).map_err(told)? {
                if moment == Moment::Waiting {
                    awaits = at - 1;
                }
                break;
            }
        }
    }
    Ok(awaits)
}

/// Where and when the future is dropped.
#[derive(Debug, Clone, Copy)]
struct Aim {
    /// At its how manieth await.
    at: usize,
    moment: Moment,
    /// Whether awaits that were passed are to be told from the one that gave way. Both kept a waker.
    look_closely: bool,
}

/// When, relative to the wake-up, the future is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// At the await at which it waits.
    Waiting,
    /// At the first tokio await after the one at which it waited, if that one needed no budget.
    Early,
    /// Before it is polled again.
    Woken,
}

impl Moment {
    const fn words(self) -> &'static str {
        match self {
            Self::Waiting | Self::Early => "while it waited",
            Self::Woken => "between its wake-up and its next poll",
        }
    }
}

/// Gives whether the future inside came to its own end.
struct DropAt<F> {
    future: Option<Pin<Box<F>>>,
    aim: Aim,
    polls: usize,
    /// Where it waited at its last poll.
    waiting: Waiting,
    /// What a destructor said when it was dropped.
    panicked: Option<String>,
}

impl<F: Future> DropAt<F> {
    fn new(future: F, aim: Aim) -> Self {
        let (waiting, panicked) = (Waiting::default(), None);
        Self { future: Some(Box::pin(future)), aim, polls: 0, waiting, panicked }
    }

    fn drop_now(&mut self) {
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(move || drop(future)));
        self.panicked = dropped.err().map(|payload| panic_message(&*payload).to_owned());
    }

    /// The panic of a destructor is an error, with the place at which the future was dropped.
    fn dropped_well(&self) -> Result<(), String> {
        match &self.panicked {
            Some(message) => Err(self.told(false, &format!("a destructor panicked: {message}"))),
            None => Ok(()),
        }
    }

    /// `what` broke, with the place at which the future was dropped.
    fn told(&self, ended: bool, what: &str) -> String {
        if ended {
            return format!("not dropped at all: {what}");
        }
        let line = self.waiting.words().map(|line| format!(" ({line})")).unwrap_or_default();
        format!("dropped at await {}{line}, {}: {what}", self.aim.at, self.aim.moment.words())
    }
}

impl<F: Future> Future for DropAt<F> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.polls == self.aim.at {
            self.drop_now();
            return Poll::Ready(false);
        }
        // The first await must give way at once; at each later poll, the await that gave way before may now pass. If it
        // passes without a budget, the unit that was meant for it lets the next one pass unseen: hence `Early`.
        let last = self.polls + 1 == self.aim.at;
        leave_budget(cx, usize::from(self.polls > 0 && !(last && self.aim.moment == Moment::Early)));
        let look_closely = self.aim.look_closely;
        let Some(future) = self.future.as_mut() else { return Poll::Ready(false) };
        let poll = if last {
            let (poll, mut waiting) = stacks::poll(future.as_mut(), cx);
            if look_closely && poll.is_pending() && waiting.lines().len() > 1 {
                leave_budget(cx, 0);
                if let (Poll::Pending, still) = stacks::poll(future.as_mut(), cx) {
                    waiting.narrow(&still);
                }
            }
            self.waiting = waiting;
            poll
        } else {
            future.as_mut().poll(cx)
        };
        if poll.is_ready() {
            self.future = None;
            return Poll::Ready(true);
        }
        self.polls += 1;
        if self.polls == self.aim.at && self.aim.moment != Moment::Woken {
            self.drop_now();
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}

/// Uses up the task's cooperative budget, but for `units`.
pub(crate) fn leave_budget(cx: &mut Context<'_>, units: usize) {
    // A budget is 128 units; the bound is for a task that is exempt and never runs out.
    for _ in 0..4096 {
        match coop::poll_proceed(cx) {
            Poll::Pending => return,
            Poll::Ready(unit) if !coop::has_budget_remaining() => {
                // Dropped without progress, a unit goes back.
                if units == 0 {
                    unit.made_progress();
                }
                return;
            }
            Poll::Ready(unit) => unit.made_progress(),
        }
    }
}
