//! What each future did, and when.
//!
//! A [`Trace`] is plain data: it can be compared, stored as JSON, and drawn (see [`draw`](crate::draw)). It is written by
//! a recorder while a program runs on tokio's paused clock, so the same program always gives the same trace.

use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// One run of a program: its lanes, in the order of their birth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// What the picture shows, in one line.
    pub title: String,
    /// One lane a recorded future.
    pub lanes: Vec<Lane>,
}

/// The life of one future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The name that the program gave it.
    pub name: String,
    /// When it was wrapped, counted from the start of the trace.
    pub born: Duration,
    /// What happened to it, in order.
    pub events: Vec<Event>,
}

/// Something that happened to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, counted from the start of the trace.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was polled, from [`Event::at`] to `until`. Equal, unless the poll spent (virtual) processor time.
    Polled {
        /// The end of the poll.
        until: Duration,
    },
    /// From here on it waits for what is named.
    Waits(String),
    /// Its waker was called: it will be polled again.
    Woken(By),
    /// The program left a remark.
    Note(String),
    /// It gave a value.
    Finished,
    /// It gave an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It was dropped before it had given anything: cancelled.
    Dropped,
}

/// Who called a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The clock: a timer came due.
    Clock,
    /// The lane of this index, while it was polled or dropped.
    Lane(usize),
    /// A future without a name, another thread, or the network.
    Other,
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'a> {
    /// With a value.
    Finished,
    /// With an error.
    Failed(&'a str),
    /// With a panic.
    Panicked(&'a str),
    /// Cancelled.
    Dropped,
}

impl Lane {
    /// How and when it ended, or nothing if it was still alive at the end of the trace.
    #[must_use]
    pub fn ending(&self) -> Option<(Duration, Ending<'_>)> {
        self.events.iter().rev().find_map(|event| {
            let ending = match &event.what {
                What::Finished => Ending::Finished,
                What::Failed(why) => Ending::Failed(why),
                What::Panicked(why) => Ending::Panicked(why),
                What::Dropped => Ending::Dropped,
                _ => return None,
            };
            Some((event.at, ending))
        })
    }

    /// The polls: from, until.
    pub fn polls(&self) -> impl Iterator<Item = (Duration, Duration)> {
        self.events.iter().filter_map(|event| match event.what {
            What::Polled { until } => Some((event.at, until)),
            _ => None,
        })
    }
}

impl Trace {
    /// The moment of the last event.
    #[must_use]
    pub fn end(&self) -> Duration {
        let ends = self.lanes.iter().flat_map(|lane| {
            let events = lane.events.iter().map(|event| match event.what {
                What::Polled { until } => until,
                _ => event.at,
            });
            events.chain([lane.born])
        });
        ends.max().unwrap_or_default()
    }

    /// The trace as JSON. Times are whole microseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lanes: Vec<Value> = self.lanes.iter().map(Lane::to_json).collect();
        json!({ "title": self.title, "lanes": lanes })
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Malformed`] names the first part that is missing or of another kind.
    pub fn from_json(value: &Value) -> Result<Self, Malformed> {
        Ok(Self {
            title: text(value, "title")?,
            lanes: list(value, "lanes")?.iter().map(Lane::from_json).collect::<Result<_, _>>()?,
        })
    }
}

/// JSON that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl Malformed {
    pub(crate) const fn new(part: &'static str) -> Self {
        Self(part)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the recorded data that was expected: no valid {:?} in it", self.0)
    }
}

impl std::error::Error for Malformed {}

impl Lane {
    fn to_json(&self) -> Value {
        let events: Vec<Value> = self.events.iter().map(Event::to_json).collect();
        json!({ "name": self.name, "born": micros(self.born), "events": events })
    }

    fn from_json(value: &Value) -> Result<Self, Malformed> {
        Ok(Self {
            name: text(value, "name")?,
            born: moment(value, "born")?,
            events: list(value, "events")?.iter().map(Event::from_json).collect::<Result<_, _>>()?,
        })
    }
}

impl Event {
    fn to_json(&self) -> Value {
        let at = micros(self.at);
        match &self.what {
            What::Polled { until } => json!({ "at": at, "polled": micros(*until) }),
            What::Waits(what) => json!({ "at": at, "waits": what }),
            What::Woken(By::Clock) => json!({ "at": at, "woken": "clock" }),
            What::Woken(By::Other) => json!({ "at": at, "woken": "other" }),
            What::Woken(By::Lane(lane)) => json!({ "at": at, "woken": lane }),
            What::Note(note) => json!({ "at": at, "note": note }),
            What::Finished => json!({ "at": at, "finished": true }),
            What::Failed(why) => json!({ "at": at, "failed": why }),
            What::Panicked(why) => json!({ "at": at, "panicked": why }),
            What::Dropped => json!({ "at": at, "dropped": true }),
        }
    }

    fn from_json(value: &Value) -> Result<Self, Malformed> {
        let kind = value.as_object().and_then(|event| event.keys().find(|key| *key != "at"));
        let what = match kind.map(String::as_str) {
            Some("polled") => What::Polled { until: moment(value, "polled")? },
            Some("waits") => What::Waits(text(value, "waits")?),
            Some("woken") => What::Woken(match (value["woken"].as_str(), value["woken"].as_u64()) {
                (Some("clock"), _) => By::Clock,
                (Some("other"), _) => By::Other,
                (_, Some(lane)) => By::Lane(usize::try_from(lane).map_err(|_| Malformed("woken"))?),
                _ => return Err(Malformed("woken")),
            }),
            Some("note") => What::Note(text(value, "note")?),
            Some("finished") => What::Finished,
            Some("failed") => What::Failed(text(value, "failed")?),
            Some("panicked") => What::Panicked(text(value, "panicked")?),
            Some("dropped") => What::Dropped,
            _ => return Err(Malformed("event")),
        };
        Ok(Self { at: moment(value, "at")?, what })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn moment(value: &Value, key: &'static str) -> Result<Duration, Malformed> {
    value[key].as_u64().map(Duration::from_micros).ok_or(Malformed(key))
}

fn text(value: &Value, key: &'static str) -> Result<String, Malformed> {
    value[key].as_str().map(str::to_owned).ok_or(Malformed(key))
}

fn list<'a>(value: &'a Value, key: &'static str) -> Result<&'a Vec<Value>, Malformed> {
    value[key].as_array().ok_or(Malformed(key))
}
