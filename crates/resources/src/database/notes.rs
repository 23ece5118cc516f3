//! Who has what of which pool. sqlx counts its connections, but does not know who has them.

use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    task::{self, AbortHandle},
    time::{Instant, sleep_until},
};

/// How often somebody looks at the clock, while anybody waits.
const BEAT: Duration = Duration::from_millis(10);

/// What goes in and out of the pools that count it: whoever takes a connection, from wherever. The pool keeps its own.
static COUNTED: Mutex<BTreeMap<usize, Weak<Traffic>>> = Mutex::new(BTreeMap::new());

/// What the hooks of a pool have seen.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    returned: AtomicU64,
    /// At most so many: one that is closed in place of being given back is not seen.
    out: AtomicU64,
}

impl Traffic {
    pub(super) fn given_out(&self) {
        self.out.fetch_add(1, Relaxed);
    }

    pub(super) fn came_back(&self) {
        self.returned.fetch_add(1, Relaxed);
        // One that was taken with `try_acquire` was not seen when it went.
        self.out.fetch_update(Relaxed, Relaxed, |out| out.checked_sub(1)).ok();
    }
}

/// From now on, until it is gone, the pool is known to count.
pub(super) fn counts(pool: usize, traffic: &Arc<Traffic>) {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    counted.retain(|_, traffic| traffic.strong_count() > 0);
    counted.insert(pool, Arc::downgrade(traffic));
}

/// One table for the process: nothing can be hung onto a pool of sqlx, and a wrapper would keep it from whatever takes one.
/// A pool is in it only while somebody holds or waits.
static NOTES: Mutex<BTreeMap<usize, Notes>> = Mutex::new(BTreeMap::new());

fn notes() -> MutexGuard<'static, BTreeMap<usize, Notes>> {
    // Nothing panics in between two changes that belong together.
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Notes {
    held: Vec<(u64, Entry)>,
    waiting: usize,
    /// Counts up: who waits looks at how far it has come meanwhile.
    returned: u64,
    numbers: u64,
    server: Server,
    /// A task that looks at the clock in short steps, for all who wait; when it will look next, and how late it was, in sum.
    beat: Option<AbortHandle>,
    due: Option<Instant>,
    late: Duration,
}

impl Notes {
    /// With what it is late by now, if it was not polled for some time.
    fn late_by_now(&self) -> Duration {
        self.late + self.due.map_or(Duration::ZERO, |due| due.elapsed())
    }
}

struct Entry {
    asked_at: &'static Location<'static>,
    since: Instant,
    task: Option<task::Id>,
}

/// What the server was found to say to somebody who asked it directly.
#[derive(Clone, Default)]
pub(super) enum Server {
    /// Nobody has asked.
    #[default]
    Unknown,
    /// Somebody has been asking since then.
    Asked(Instant),
    /// Somebody has asked for so long, and had no answer.
    Silent(Duration),
    /// It opened a connection.
    Accepts,
    /// It did not.
    Refuses(Arc<sqlx::Error>),
}

/// Somebody who has a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Holder {
    /// Where it was asked for.
    pub asked_at: &'static Location<'static>,
    /// For how long it has been held.
    pub held_for: Duration,
    /// Whether it was taken in the task that looks: if that waits for a second one, it waits for itself.
    pub same_task: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.asked_at, self.held_for)?;
        f.write_str(if self.same_task { " (in this very task)" } else { "" })
    }
}

/// What was seen of a pool by somebody who has waited in vain.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evidence {
    /// How long it was.
    pub waited: Duration,
    /// How many connections the pool may open.
    pub limit: u32,
    /// How many it has opened or is opening.
    pub open: u32,
    /// How many of them nobody has.
    pub idle: usize,
    /// How many waited, with the one who tells.
    pub waiting: usize,
    /// How many connections came back meanwhile, and were given to others. A pool of
    /// [`PoolSettings::pool`](super::PoolSettings::pool) counts them all; of others, those are known that were taken with
    /// [`acquire()`](super::acquire()).
    pub returned: u64,
    /// How much of the wait nobody was polled.
    pub late: Duration,
    /// Who has one, the longest first. Who takes one from the pool itself is not here, but counted as open.
    pub holders: Vec<Holder>,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waited, limit, open, idle, waiting, returned, .. } = self;
        write!(
            f,
            "waited {waited:?}, {waiting} waiting; {open} of {limit} open, {idle} idle, {returned} came back{}",
            listed(&self.holders)
        )
    }
}

/// The holders, after what was said before. Three are enough to find the place.
pub(super) fn listed(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let named: Vec<String> = holders.iter().take(3).map(ToString::to_string).collect();
    let more = holders.len() - named.len();
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    format!("; held: {}{more}", named.join("; "))
}

/// Who holds what of a pool, the longest first.
pub(super) fn holders(pool: usize) -> Vec<Holder> {
    let (now, task) = (Instant::now(), task::try_id());
    let notes = notes();
    let held = notes.get(&pool).map(|notes| notes.held.as_slice()).unwrap_or_default();
    let mut holders: Vec<Holder> = held
        .iter()
        .map(|(_, entry)| Holder {
            asked_at: entry.asked_at,
            held_for: now - entry.since,
            same_task: entry.task.is_some() && entry.task == task,
        })
        .collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.held_for));
    holders
}

/// A connection that is held, for as long as this lives.
#[derive(Debug)]
pub(super) struct Held {
    pool: usize,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = notes();
        if let Some(notes) = all.get_mut(&self.pool) {
            notes.held.retain(|(number, _)| *number != self.number);
            notes.returned += 1;
            if notes.held.is_empty() && notes.waiting == 0 {
                all.remove(&self.pool);
            }
        }
    }
}

/// Somebody who waits, for as long as this lives.
pub(super) struct Waiting {
    pool: usize,
    since: Instant,
    returned_before: u64,
    late_before: Duration,
    /// If the pool counts, and how many had come back before.
    traffic: Option<(Arc<Traffic>, u64)>,
}

impl Waiting {
    pub(super) fn new(pool: usize) -> Self {
        let traffic =
            COUNTED.lock().unwrap_or_else(PoisonError::into_inner).get(&pool).and_then(Weak::upgrade);
        let traffic = traffic.map(|traffic| {
            let returned = traffic.returned.load(Relaxed);
            (traffic, returned)
        });
        let mut all = notes();
        let notes = all.entry(pool).or_default();
        notes.waiting += 1;
        if notes.beat.as_ref().is_none_or(AbortHandle::is_finished) {
            notes.due = Some(Instant::now() + BEAT);
            notes.beat = Some(beat(pool));
        }
        let late_before = notes.late_by_now();
        Self { pool, since: Instant::now(), returned_before: notes.returned, late_before, traffic }
    }

    /// For how much of the wait no task was polled. What is shorter than two beats is not worth a word.
    pub(super) fn late(&self) -> Duration {
        let late = notes().get(&self.pool).map(Notes::late_by_now).unwrap_or_default();
        let late = late.saturating_sub(self.late_before).min(self.since.elapsed());
        if late < 2 * BEAT { Duration::ZERO } else { late }
    }

    /// Whether every return is counted.
    pub(super) fn counted(&self) -> bool {
        self.traffic.is_some()
    }

    /// How many connections are known to be out, if not more than `open` can be.
    pub(super) fn out(&self, open: u64) -> u64 {
        let held = notes().get(&self.pool).map_or(0, |notes| notes.held.len() as u64);
        let Some((traffic, _)) = &self.traffic else { return held };
        // What was closed is not open any more.
        traffic.out.fetch_min(open, Relaxed).min(open).max(held)
    }

    /// It has come to an end, well: whatever the server was said to be, it has answered.
    pub(super) fn holds(&self, asked_at: &'static Location<'static>) -> Held {
        let mut all = notes();
        let notes = all.entry(self.pool).or_default();
        let number = notes.numbers;
        notes.numbers += 1;
        notes.server = Server::Unknown;
        notes.held.push((number, Entry { asked_at, since: Instant::now(), task: task::try_id() }));
        Held { pool: self.pool, number }
    }

    pub(super) fn waiting(&self) -> usize {
        notes().get(&self.pool).map_or(0, |notes| notes.waiting)
    }

    pub(super) fn returned(&self) -> u64 {
        let leases = notes().get(&self.pool).map_or(0, |notes| notes.returned - self.returned_before);
        // Each is a part of the truth: a lease that was discarded is not seen by the pool.
        let seen =
            self.traffic.as_ref().map_or(0, |(traffic, before)| traffic.returned.load(Relaxed) - before);
        leases.max(seen)
    }

    pub(super) fn server(&self) -> Server {
        notes().get(&self.pool).map(|notes| notes.server.clone()).unwrap_or_default()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = notes();
        if let Some(notes) = all.get_mut(&self.pool) {
            notes.waiting -= 1;
            if notes.waiting == 0
                && let Some(beat) = notes.beat.take()
            {
                notes.due = None;
                beat.abort();
            }
            if notes.held.is_empty() && notes.waiting == 0 {
                all.remove(&self.pool);
            }
        }
    }
}

/// Looks at the clock, until nobody waits any more. A task of its own: one of those who wait may be polled late by its owner
/// alone, which is no fault of the runtime's.
fn beat(pool: usize) -> AbortHandle {
    let beat = async move {
        let mut due = Instant::now() + BEAT;
        loop {
            sleep_until(due).await;
            let mut all = notes();
            let Some(notes) = all.get_mut(&pool) else { return };
            notes.late += due.elapsed();
            due = Instant::now() + BEAT;
            notes.due = Some(due);
        }
    };
    #[expect(clippy::disallowed_methods, reason = "it is stopped with the last who waits")]
    tokio::spawn(beat).abort_handle()
}

/// Somebody asks the server directly.
pub(super) struct Asking {
    pool: usize,
    since: Instant,
    answered: bool,
}

impl Asking {
    /// One at a time asks.
    pub(super) fn new(pool: usize) -> Option<Self> {
        let mut all = notes();
        let notes = all.get_mut(&pool)?;
        if matches!(notes.server, Server::Asked(_)) {
            return None;
        }
        let since = Instant::now();
        notes.server = Server::Asked(since);
        Some(Self { pool, since, answered: false })
    }

    pub(super) fn told(mut self, server: Server) {
        self.answered = true;
        self.set(server);
    }

    fn set(&self, server: Server) {
        if let Some(notes) = notes().get_mut(&self.pool) {
            notes.server = server;
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // Dropped before there was an answer, with its wait: the next may ask.
        if !self.answered {
            self.set(Server::Silent(self.since.elapsed()));
        }
    }
}
