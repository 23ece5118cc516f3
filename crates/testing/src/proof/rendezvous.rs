use super::{
    Mismatch,
    mismatch::{insist, list},
    timeline::Timeline,
};
use crate::simulation::HORIZON;
use common::{Recorder, Trace, recorder::waits_for};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, futures::Notified},
    task::yield_now,
    time::timeout,
};

/// Longer than a simulated run goes on looking, so that there it is a deadlock.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Lets nobody go on until so many are inside at once: the lower bound of a concurrency proof.
///
/// Put it inside the work. A program that never has so many in flight stands still: [`simulate`](crate::simulate) reports
/// the deadlock at once, and on any other paused clock a party panics, saying who was inside. A program that starts too
/// many passes: for that there is the [`Gauge`](super::Gauge). Unlike tokio's `Barrier` it forgets who was dropped while
/// waiting.
///
/// # Examples
/// A serial program passes the usual test, and does not pass this one:
/// ```
/// use testing::{proof::{Gauge, Rendezvous}, simulate, simulation::End};
///
/// let rendezvous = Rendezvous::of(3, 10);
/// let run = simulate("one after another", async |recorder| {
///     let gauge = Gauge::new().on(&recorder);
///     for n in 1..=10 {
///         gauge.hold(format!("call {n}"), rendezvous.arrive(format!("call {n}"))).await;
///     }
///     assert!(gauge.peak() <= 3);
/// });
/// assert_eq!(run.end, End::Deadlock);
/// assert_eq!(rendezvous.check_met().unwrap_err().seen, "`call 1` waited for 2 more, and nobody came");
/// ```
#[derive(Clone)]
pub struct Rendezvous {
    timeline: Timeline,
    patience: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    n: usize,
    total: Option<usize>,
    /// A std mutex: it is held for a few pushes, never across an await.
    state: Mutex<State>,
    /// Rung when a group is complete.
    complete: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who is inside, by ticket.
    waiting: Vec<(usize, String)>,
    /// Who was dropped while waiting, since the last group was complete.
    dropped: Vec<(usize, String)>,
    tickets: usize,
    met: usize,
}

impl Rendezvous {
    /// Groups of `n`, one after the other. The parties of a last incomplete group wait for ever: if their number is not a
    /// multiple of `n`, take [`of`](Self::of).
    ///
    /// # Panics
    /// If `n` is 0.
    #[must_use]
    pub fn new(n: usize) -> Self {
        assert!(
            n > 0,
            "a rendezvous of 0 parties: nobody would ever have to wait; name the limit that is to be proved"
        );
        Self {
            timeline: Timeline::new(format!("{n} at once")),
            patience: PATIENCE,
            shared: Arc::new(Shared { n, total: None, state: Mutex::default(), complete: Notify::new() }),
        }
    }

    /// Groups of `n` out of `total` parties: the remainder, if there is one, is the last group. Then it begins anew.
    ///
    /// A party that was dropped while it waited has not come; if it does not come again, it is not one of the `total`.
    ///
    /// # Panics
    /// If `n` or `total` is 0.
    #[must_use]
    pub fn of(n: usize, total: usize) -> Self {
        assert!(
            total > 0,
            "a rendezvous of 0 in all: nobody would ever come; say how many parties there are"
        );
        let new = Self::new(n);
        let shared = Shared { n, total: Some(total), state: Mutex::default(), complete: Notify::new() };
        Self { shared: Arc::new(shared), ..new }
    }

    /// Draws into the timeline of `recorder`, if nobody has come yet. The verdict on a simulated run then says who waits.
    #[must_use = "the timeline is set in place; bind or chain what is returned"]
    pub fn on(self, recorder: &Recorder) -> Self {
        self.timeline.draw_on(recorder);
        self
    }

    /// How long a party waits before it panics: a year, which on the paused clock is no time. On a running clock, say
    /// how long the test may take in the worst case, 10 seconds perhaps.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits until a group is complete, this party included.
    ///
    /// # Panics
    /// With the [`Mismatch`], if the group is not complete when its [`patience`](Self::patience) is at its end. Outside
    /// of a runtime with time enabled.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped while it waits, the party is not counted. Dropped after its group was complete, it was one of
    /// the group.
    pub fn arrive<N: Into<String>>(&self, name: N) -> impl Future<Output = ()> + Send + use<N> {
        let (rendezvous, name) = (self.clone(), name.into());
        // Nothing happens before the first poll: who is not polled is not inside.
        async move {
            rendezvous.timeline.recorder().lane(name.clone(), rendezvous.wait(name)).await;
        }
    }

    /// Whether all who came have met: at least one group was complete, nobody waits, and nobody was dropped waiting since
    /// the last group; out of a `total`, all of them.
    ///
    /// # Errors
    /// Who waited, and for how many.
    pub fn check_met(&self) -> Result<(), Mismatch> {
        let state = self.lock();
        match self.missing(&state) {
            None => Ok(()),
            Some(seen) => {
                drop(state);
                let trace = self.timeline.trace();
                let end = trace.end();
                let last = before(end, trace.clone());
                // A run that stood still is given up after the horizon, and everybody is dropped. That hides what happened.
                let stood_still = end.saturating_sub(last.end()) >= HORIZON;
                Err(self.mismatch(seen, if stood_still { last } else { trace }))
            }
        }
    }

    /// Asserts [`check_met`](Self::check_met).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_met(&self) {
        insist(self.check_met());
    }

    async fn wait(&self, name: String) {
        let Some((_party, more, complete)) = self.enter(name) else {
            // Gone at once, it would make room before a program that begins too many could begin the next.
            return yield_now().await;
        };
        let what = format!("{more} more");
        if timeout(self.patience, waits_for(&what, complete)).await.is_err() {
            let seen = self.missing(&self.lock());
            let now = self.timeline.now();
            panic!("{}", self.mismatch(seen.unwrap_or_default(), before(now, self.timeline.trace())));
        }
    }

    /// Nothing, if the group is complete with this party; or how many it waits for, and what tells it.
    fn enter(&self, name: String) -> Option<(Party<'_>, usize, Notified<'_>)> {
        let mut state = self.lock();
        let need = self.need(&state);
        if state.waiting.len() + 1 == need {
            state.met += need;
            state.waiting.clear();
            state.dropped.clear();
            self.shared.complete.notify_waiters();
            return None;
        }
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push((ticket, name));
        // Made under the lock, it can't miss its group; and it hears of no other.
        let complete = self.shared.complete.notified();
        Some((Party { rendezvous: self, ticket }, need - state.waiting.len(), complete))
    }

    /// How many make the group that is gathering.
    fn need(&self, state: &State) -> usize {
        let Shared { n, total, .. } = *self.shared;
        total.map_or(n, |total| n.min(total - state.met % total))
    }

    fn missing(&self, state: &State) -> Option<String> {
        let need = self.need(state);
        let left = if state.waiting.is_empty() { &state.dropped } else { &state.waiting };
        let left: Vec<String> = left.iter().map(|(_, name)| format!("`{name}`")).collect();
        if !left.is_empty() {
            let more = need.saturating_sub(left.len()).max(1);
            return Some(format!("{} waited for {more} more, and nobody came", list(&left)));
        }
        match self.shared.total {
            _ if state.met == 0 => Some(String::from("nobody ever came: is it where the work is done?")),
            Some(total) if !state.met.is_multiple_of(total) => {
                Some(format!("{} of {total} came", state.met % total))
            }
            _ => None,
        }
    }

    fn mismatch(&self, seen: String, trace: Trace) -> Mismatch {
        let n = self.shared.n;
        let expected = match self.shared.total {
            Some(total) => format!("{n} inside at once, until all {total} have been"),
            None => format!("{n} inside at once"),
        };
        Mismatch::new(expected, seen, trace)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous")
            .field("n", &self.shared.n)
            .field("total", &self.shared.total)
            .field("state", &*self.lock())
            .finish_non_exhaustive()
    }
}

/// A party that waits; dropped before its group is complete, it has not come.
struct Party<'a> {
    rendezvous: &'a Rendezvous,
    ticket: usize,
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        let mut state = self.rendezvous.lock();
        if let Some(place) = state.waiting.iter().position(|(ticket, _)| *ticket == self.ticket) {
            let party = state.waiting.remove(place);
            state.dropped.push(party);
            // Futures are not dropped in the order in which they were polled.
            state.dropped.sort_by_key(|(ticket, _)| *ticket);
        }
    }
}

/// The trace without the events from `end` on.
fn before(end: Duration, mut trace: Trace) -> Trace {
    for lane in &mut trace.lanes {
        lane.events.retain(|event| event.at < end);
    }
    trace
}
