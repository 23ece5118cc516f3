use common::{
    Trace,
    trace::{Event, Lane, What},
};
use std::time::Duration;

/// A way to work, by when each item is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schedule {
    Serial,
    /// Whenever one ends, the next is begun.
    AtATime(usize),
    /// The next is begun when the one that is so many before it, and all before that, have ended.
    Window(usize),
    /// The next so many are begun when all before them have ended.
    Chunks(usize),
    Unbounded,
}

impl Schedule {
    /// When each item is begun.
    pub(super) fn starts(self, latencies: &[Duration]) -> Vec<Duration> {
        let mut starts = Vec::with_capacity(latencies.len());
        // When everything up to this item has ended.
        let mut ended: Vec<Duration> = Vec::with_capacity(latencies.len());
        let mut lanes = match self {
            Self::AtATime(limit) => vec![Duration::ZERO; limit.min(latencies.len())],
            _ => Vec::new(),
        };
        for (item, latency) in latencies.iter().enumerate() {
            // When everything before the first `upto` items' end has ended.
            let all = |upto: usize| upto.checked_sub(1).map_or(Duration::ZERO, |last| ended[last]);
            let start = match self {
                Self::Serial => all(item),
                Self::AtATime(_) => lanes.iter_mut().min().map_or(Duration::ZERO, |free| {
                    let start = *free;
                    *free += *latency;
                    start
                }),
                Self::Window(limit) => all((item + 1).saturating_sub(limit)),
                Self::Chunks(limit) => all(item - item % limit),
                Self::Unbounded => Duration::ZERO,
            };
            let before = ended.last().copied().unwrap_or_default();
            starts.push(start);
            ended.push(before.max(start + *latency));
        }
        starts
    }

    /// Completes "40 ms, which ...".
    pub(super) fn words(self) -> String {
        match self {
            Self::Serial | Self::AtATime(1) => String::from("one after another take"),
            Self::AtATime(limit) => format!("{limit} at a time take"),
            Self::Window(limit) => format!("{limit} at a time take if a slow one holds up those behind it"),
            Self::Chunks(limit) => format!("chunks of {limit} take, each waiting for its slowest"),
            Self::Unbounded => String::from("all at once take"),
        }
    }

    /// When all are done.
    pub(super) fn end(self, latencies: &[Duration]) -> Duration {
        let starts = self.starts(latencies);
        starts.iter().zip(latencies).map(|(start, latency)| *start + *latency).max().unwrap_or_default()
    }

    /// As if it had been recorded.
    pub(super) fn picture(self, latencies: &[Duration], title: &str) -> Trace {
        let lane = |(item, (born, latency)): (usize, (Duration, &Duration))| {
            let end = born + *latency;
            let poll = |at| Event { at, what: What::Polled { until: at } };
            let events = vec![poll(born), poll(end), Event { at: end, what: What::Finished }];
            Lane { name: format!("item {}", item + 1), born, events }
        };
        let lanes = self.starts(latencies).into_iter().zip(latencies).enumerate().map(lane).collect();
        Trace { title: title.to_owned(), lanes }
    }
}
