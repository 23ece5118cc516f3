use common::draw::time;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Book {
    pub(super) lines: Vec<Line>,
    ends: usize,
}

/// What a [`Ledger`](super::Ledger) knows of one future or guard. Times count from the start of its timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The name that the test gave it.
    pub name: String,
    /// When it was made.
    pub born: Duration,
    /// When it was polled first; a guard, when it was made.
    pub polled: Option<Duration>,
    /// When and how it ended; nothing while it is there.
    pub ended: Option<(Duration, End)>,
    /// Its place among the ends: several can end at the same virtual time.
    pub(super) rank: usize,
}

/// How a [`Line`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// With a value; a guard, by [`Entry::finish`](super::Entry::finish).
    Finished,
    /// It had begun, and was dropped before it had given anything.
    Dropped,
    /// With a panic.
    Panicked,
    /// It was dropped before anybody polled it.
    NeverPolled,
}

impl Line {
    pub(super) fn words(&self) -> String {
        let Self { name, ended, .. } = self;
        match ended {
            None => format!("`{name}` is still there"),
            Some((at, End::Finished)) => format!("`{name}` finished at {}", time(*at)),
            Some((at, End::Dropped)) => format!("`{name}` was dropped at {}", time(*at)),
            Some((at, End::Panicked)) => format!("`{name}` panicked at {}", time(*at)),
            Some((at, End::NeverPolled)) => {
                format!("`{name}` was dropped at {}, before anybody polled it", time(*at))
            }
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        self.ended.map(|(_, end)| end)
    }
}

impl Book {
    /// Opens a line; gives its place.
    pub(super) fn open(&mut self, name: String, born: Duration) -> usize {
        self.lines.push(Line { name, born, polled: None, ended: None, rank: 0 });
        self.lines.len() - 1
    }

    pub(super) fn begin(&mut self, place: usize, now: Duration) {
        self.lines[place].polled.get_or_insert(now);
    }

    /// Closes a line; `end` is what it is if it has begun at all. Only the first end counts.
    pub(super) fn close(&mut self, place: usize, end: End, now: Duration) {
        self.ends += 1;
        let line = &mut self.lines[place];
        if line.ended.is_none() {
            let end = if line.polled.is_some() { end } else { End::NeverPolled };
            line.ended = Some((now, end));
            line.rank = self.ends;
        }
    }
}
