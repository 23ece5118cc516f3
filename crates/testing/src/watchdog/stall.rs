//! What a stall is, and how it is told.

use super::Label;
use std::{fmt, time::Duration};

/// A worker that did not come back from the code of its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stall {
    /// The worker's index in its runtime.
    pub worker: usize,
    /// The system's number of its thread, for a debugger or profiler; Linux only.
    pub thread: Option<u32>,
    /// For how long the worker has not been seen to move. [`stalls`](super::Watchdog::stalls) gives what it has come to
    /// since.
    pub lasted: Duration,
    /// How much of that time the thread was ready to run and the machine gave it no processor, about. It does not
    /// count towards the limit.
    pub starved: Duration,
    /// What the thread was doing when the stall was reported.
    pub doing: Doing,
    /// The innermost [`labelled`](super::labelled()) future that the thread was polling.
    pub label: Option<Label>,
    /// Whether `thread`, `doing` and `label` are those of the stuck thread for certain. `block_in_place` gives a worker
    /// to another thread, which is known only once the worker has paused there.
    pub sure: bool,
}

/// What a stuck thread does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It uses the processor: a long computation, or a loop without an await that waits.
    Computing,
    /// It waits in a call that is not async.
    Blocked {
        /// The kernel's name for the call, or its number.
        in_call: Option<String>,
    },
    /// The system does not say: it is not Linux, or its `/proc` is hidden.
    Unknown,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} has been stuck for {} ms", self.worker, self.lasted.as_millis())?;
        if self.starved > self.lasted / 4 {
            write!(f, " ({} ms of them without a processor)", self.starved.as_millis())?;
        }
        write!(f, ": {}{}", if self.sure { "" } else { "probably " }, self.doing)?;
        if let Some(label) = &self.label {
            write!(f, ", in {label}")?;
        }
        if let Some(thread) = self.thread {
            write!(f, ", thread {thread}")?;
        }
        let remedy = match self.doing {
            Doing::Computing => "let it `yield_now().await` in between, or move it to a thread of its own",
            Doing::Blocked { .. } => "await the async form of that call, or move it to `spawn_blocking`",
            Doing::Unknown => "look there for a blocking call or a loop without an await that waits",
        };
        write!(f, "; every task of that worker waits: {remedy}")
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computing => f.write_str("computing"),
            Self::Unknown => f.write_str("blocked or computing"),
            Self::Blocked { in_call: None } => f.write_str("blocked"),
            Self::Blocked { in_call: Some(call) } => match in_words(call) {
                Some(words) => write!(f, "blocked in {words} ({call})"),
                None => write!(f, "blocked in {call}"),
            },
        }
    }
}

/// Whether a call waits for another thread, as far as its name tells: not for a time, or the world outside.
pub(super) fn waits_for_a_thread(call: Option<&str>) -> bool {
    call.and_then(in_words).is_none_or(|words| words == THREAD)
}

const THREAD: &str = "a wait for another thread: a lock, a channel, a join";

/// The kernel's functions have other names in each version; their parts stay.
fn in_words(call: &str) -> Option<&'static str> {
    let known = [
        ("nanosleep", "a sleep"),
        ("futex", THREAD),
        ("pipe_", "a read or write of a pipe"),
        ("accept", "a wait for a connection"),
        ("connect", "a connect"),
        ("skb", "a wait for a socket"),
        ("unix_stream", "a wait for a socket"),
        ("sk_wait", "a wait for a socket"),
        ("inet", "a wait for a socket"),
        ("wait_woken", "a wait for a socket or terminal"),
        ("poll", "a wait for I/O"),
        ("do_wait", "a wait for a child process"),
        ("folio", "a wait for the disk"),
        ("io_schedule", "a wait for the disk"),
        ("jbd2", "a wait for the disk"),
    ];
    known.iter().find(|(part, _)| call.contains(part)).map(|(_, words)| *words)
}
