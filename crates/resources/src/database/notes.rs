//! Who has what of which pool. sqlx counts its connections, but does not know who has them.

use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task, time::Instant};

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
    /// Whether somebody looks at the clock in short steps, for all who wait; and how late that was, in sum.
    beating: bool,
    late: Duration,
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
    /// How many connections came back meanwhile, and were given to others.
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
    returned_before: u64,
    late_before: Duration,
    beats: bool,
}

impl Waiting {
    pub(super) fn new(pool: usize) -> Self {
        let mut all = notes();
        let notes = all.entry(pool).or_default();
        notes.waiting += 1;
        let beats = !std::mem::replace(&mut notes.beating, true);
        Self { pool, returned_before: notes.returned, late_before: notes.late, beats }
    }

    /// Whether this one looks at the clock for all. If whoever did is gone, it is from now on.
    pub(super) fn beats(&mut self) -> bool {
        if !self.beats
            && let Some(notes) = notes().get_mut(&self.pool)
        {
            self.beats = !std::mem::replace(&mut notes.beating, true);
        }
        self.beats
    }

    /// Notes by how much a beat was late, and gives the sum of the wait.
    pub(super) fn late(&self, by: Duration) -> Duration {
        let mut all = notes();
        let Some(notes) = all.get_mut(&self.pool) else { return by };
        if self.beats {
            notes.late += by;
        }
        notes.late - self.late_before
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
        notes().get(&self.pool).map_or(0, |notes| notes.returned - self.returned_before)
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
            notes.beating &= !self.beats;
            if notes.held.is_empty() && notes.waiting == 0 {
                all.remove(&self.pool);
            }
        }
    }
}

/// Somebody asks the server directly.
pub(super) struct Asking {
    pool: usize,
    since: Instant,
    answered: bool,
}

impl Asking {
    /// One at a time asks, and none where all that may be open are known to be held.
    pub(super) fn new(pool: usize, limit: u32) -> Option<Self> {
        let mut all = notes();
        let notes = all.get_mut(&pool)?;
        let known = u32::try_from(notes.held.len()).unwrap_or(u32::MAX);
        if known >= limit || matches!(notes.server, Server::Asked(_)) {
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
