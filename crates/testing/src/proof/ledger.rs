use super::{
    End, Line, Mismatch,
    line::Book,
    mismatch::{insist, list},
    timeline::Timeline,
    watched::{Entry, Watched},
};
use common::{Recorder, draw::time};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Books how each future and each guard ended: finished, dropped, panicked or never polled, when, and before which other.
///
/// For cancellation, clean-up and whether a function is done with everything when it returns. Clones write into the same
/// book. Whether tasks are left, without their names, [`tasks_left`](crate::simulation::tasks_left) says for a whole run.
///
/// # Examples
/// A `JoinSet` that is dropped aborts its tasks and does not wait for them. The usual test sees a function that returned;
/// this one sees what it left:
/// ```
/// use common::clock;
/// use std::{future::pending, time::Duration};
/// use testing::proof::Ledger;
/// use tokio::{task::JoinSet, time::timeout};
///
/// async fn fetch_all(ledger: Ledger) {
///     let mut tasks = JoinSet::new();
///     tasks.spawn(ledger.watch("a slow call", pending::<()>()));
///     let limit = Duration::from_millis(10);
///     drop(timeout(limit, tasks.join_next()).await);
/// }
///
/// clock::paused(async {
///     let ledger = Ledger::new();
///     let returned = timeout(Duration::from_secs(1), ledger.watch("fetch_all", fetch_all(ledger.clone())));
///     assert!(returned.await.is_ok());
///     let mismatch = ledger.check_over_before("fetch_all").unwrap_err();
///     assert_eq!(mismatch.seen, "`a slow call` is still there");
/// });
/// ```
#[derive(Clone)]
pub struct Ledger {
    pub(super) timeline: Timeline,
    book: Arc<Mutex<Book>>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self { timeline: Timeline::new("how each ended"), book: Arc::default() }
    }

    /// Draws into the timeline of `recorder`, if the ledger is empty yet.
    #[must_use = "the timeline is set in place; bind or chain what is returned"]
    pub fn on(self, recorder: &Recorder) -> Self {
        self.timeline.draw_on(recorder);
        self
    }

    /// Books the life of `future`, from now on; its end is when its own destructors have run.
    ///
    /// # Cancel safety
    /// As cancel safe as `future`.
    pub fn watch<F: Future>(&self, name: impl Into<String>, future: F) -> Watched<F> {
        Watched::new(self, name.into(), future)
    }

    /// Books the life of whatever owns the guard: a resource, a callback, a block.
    pub fn entry(&self, name: impl Into<String>) -> Entry {
        Entry::new(self, name.into())
    }

    /// Every line, in the order in which they were made.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lock().lines.clone()
    }

    /// Whether everything in the ledger finished.
    ///
    /// # Errors
    /// What did not, and how it ended instead; or that the ledger is empty, which proves nothing.
    pub fn check_all_finished(&self) -> Result<(), Mismatch> {
        let lines = self.lines();
        if lines.is_empty() {
            return self.mismatch("everything finished", "nothing: the ledger is empty");
        }
        self.none("everything finished", lines.iter().filter(|line| line.end() != Some(End::Finished)))
    }

    /// Asserts [`check_all_finished`](Self::check_all_finished).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_all_finished(&self) {
        insist(self.check_all_finished());
    }

    /// Whether nothing in the ledger is still there, however it ended.
    ///
    /// # Errors
    /// What is still there.
    pub fn check_all_ended(&self) -> Result<(), Mismatch> {
        self.none("everything has ended", self.lines().iter().filter(|line| line.ended.is_none()))
    }

    /// Asserts [`check_all_ended`](Self::check_all_ended).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_all_ended(&self) {
        insist(self.check_all_ended());
    }

    /// Whether `name` had begun and was then dropped: cancelled. Of several with this name, each.
    ///
    /// # Errors
    /// How it ended instead, or that there is no such name.
    pub fn check_dropped(&self, name: &str) -> Result<(), Mismatch> {
        let expected = format!("`{name}` was dropped while it waited");
        let lines = self.named(name, &expected)?;
        self.none(&expected, lines.iter().filter(|line| line.end() != Some(End::Dropped)))
    }

    /// Asserts [`check_dropped`](Self::check_dropped).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_dropped(&self, name: &str) {
        insist(self.check_dropped(name));
    }

    /// Whether these ended in this order, at the same virtual time too; names that are not listed don't matter.
    ///
    /// # Errors
    /// The order in which they ended, or that one of them has not.
    pub fn check_order<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<(), Mismatch> {
        let names: Vec<N> = names.into_iter().collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let expected = format!("ended in the order {}", names.join(", "));
        for name in &names {
            let lines = self.named(name, &expected)?;
            self.none(&expected, lines.iter().filter(|line| line.ended.is_none()))?;
        }
        let mut lines = self.lines();
        lines.retain(|line| names.contains(&line.name.as_str()));
        lines.sort_by_key(|line| line.rank);
        let seen: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        if seen == names { Ok(()) } else { self.mismatch(expected, seen.join(", ")) }
    }

    /// Asserts [`check_order`](Self::check_order).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_order<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) {
        insist(self.check_order(names));
    }

    /// Whether everything else in the ledger, destructors included, was over when `name` ended: returned, or was dropped.
    /// It is asked of all that was ever booked; what is not `name`'s to end belongs into a ledger of its own.
    ///
    /// # Errors
    /// What ended later, was made later, or is still there; or that `name` has not ended, or is not there.
    pub fn check_over_before(&self, name: &str) -> Result<(), Mismatch> {
        let expected = format!("everything was over before `{name}` was");
        let its = self.named(name, &expected)?;
        self.none(&expected, its.iter().filter(|line| line.ended.is_none()))?;
        let rank = its.iter().map(|line| line.rank).min().unwrap_or_default();
        let lines = self.lines();
        let late = |line: &&Line| line.name != name && (line.ended.is_none() || line.rank > rank);
        self.none(&expected, lines.iter().filter(late)).map_err(|mismatch| Mismatch {
            // At the same virtual time, the moments alone would not say what is wrong.
            seen: match its.first().and_then(|line| line.ended) {
                Some((at, _)) if lines.iter().filter(late).any(|line| line.ended.is_some()) => {
                    format!("{}, after `{name}`, which was over at {}", mismatch.seen, time(at))
                }
                _ => mismatch.seen,
            },
            ..mismatch
        })
    }

    /// Asserts [`check_over_before`](Self::check_over_before).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_over_before(&self, name: &str) {
        insist(self.check_over_before(name));
    }

    fn none<'a>(&self, expected: &str, wrong: impl Iterator<Item = &'a Line>) -> Result<(), Mismatch> {
        let wrong: Vec<String> = wrong.map(Line::words).collect();
        if wrong.is_empty() { Ok(()) } else { self.mismatch(expected, list(&wrong)) }
    }

    fn named(&self, name: &str, expected: &str) -> Result<Vec<Line>, Mismatch> {
        let lines = self.lines();
        let (its, others): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.name == name);
        if its.is_empty() {
            let others: Vec<String> = others.iter().map(|line| format!("`{}`", line.name)).collect();
            let others = if others.is_empty() { String::from("nothing") } else { list(&others) };
            return self.mismatch(expected, format!("no `{name}` in the ledger, but {others}"));
        }
        Ok(its)
    }

    fn mismatch<T>(&self, expected: impl Into<String>, seen: impl Into<String>) -> Result<T, Mismatch> {
        Err(Mismatch::new(expected, seen, self.timeline.trace()))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("lines", &self.lock().lines).finish_non_exhaustive()
    }
}
