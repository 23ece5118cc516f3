//! Drops a future at each of its awaits in turn.

use crate::simulation::tasks_left;
use common::clock::paused;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{task::coop, time::sleep};

/// Runs `operation` again and again, each time on a fresh paused runtime and a fresh state from `setup`, and drops it
/// at its first await, at its second, and so on; then once more at each, in the moment between its wake-up and its next
/// poll. After every drop, and after the run that is not dropped, `invariant` is asked.
///
/// Awaits that happen to be ready count too: tokio's cooperative budget is spent beforehand, so that each tokio await
/// (lock, channel, semaphore, timer, join handle) gives way once, also one that follows an await without a budget, such
/// as `yield_now`. What it can't see: an await of a future outside tokio's budget that is ready at once, and awaits
/// inside tasks that `operation` spawns.
///
/// It gives the number of awaits at which the future was dropped.
///
/// # Errors
/// The first drop after which the invariant did not hold, or tasks were left: which await, and what broke.
///
/// # Panics
/// If called from within a runtime, or if the operation has no end after 10,000 awaits.
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
    let mut awaits = 0;
    for moment in [Moment::Waiting, Moment::Woken, Moment::Early] {
        for at in 1.. {
            assert!(at <= 10_000, "the operation has no end after 10,000 awaits");
            let ended = paused(async {
                let state = setup();
                let ended = DropAt { future: Some(Box::pin(operation(&state))), at, moment, polls: 0 }.await;
                let told = |what: String| match ended {
                    true => format!("not dropped at all: {what}"),
                    false => format!("dropped at await {at}, {}: {what}", moment.words()),
                };
                let left = tasks_left().await;
                if left > 0 {
                    return Err(told(format!("{left} tasks left")));
                }
                // Whatever was set in motion comes to rest before the invariant is asked.
                sleep(Duration::from_secs(60)).await;
                invariant(state).await.map_err(told)?;
                Ok(ended)
            })?;
            if ended {
                if moment == Moment::Waiting {
                    awaits = at - 1;
                }
                break;
            }
        }
    }
    Ok(awaits)
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
    at: usize,
    moment: Moment,
    polls: usize,
}

impl<F: Future> Future for DropAt<F> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.polls == self.at {
            self.future = None;
            return Poll::Ready(false);
        }
        // The first await must give way at once; at each later poll, the await that gave way before may now pass. If it
        // passes without a budget, the unit that was meant for it lets the next one pass unseen: hence `Early`.
        let last = self.polls + 1 == self.at;
        leave_budget(cx, usize::from(self.polls > 0 && !(last && self.moment == Moment::Early)));
        let Some(future) = self.future.as_mut() else { return Poll::Ready(false) };
        if future.as_mut().poll(cx).is_ready() {
            self.future = None;
            return Poll::Ready(true);
        }
        self.polls += 1;
        if self.polls == self.at && self.moment != Moment::Woken {
            self.future = None;
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}

/// Uses up the task's cooperative budget, but for `units`.
fn leave_budget(cx: &mut Context<'_>, units: usize) {
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
