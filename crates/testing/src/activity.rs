//! What the system tells of a thread: the processor time that it has used, and what it does. Linux tells; elsewhere
//! nothing is known.

use std::{fs, path::Path, path::PathBuf, time::Duration};

/// The folder in which the system keeps this thread's figures.
pub(crate) fn this_thread() -> Option<PathBuf> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    Some(Path::new("/proc").join(link))
}

/// The folders of all threads of this process.
pub(crate) fn threads() -> Vec<PathBuf> {
    // Under the same path as `this_thread` gives, so that they can be compared.
    let folder = Path::new("/proc").join(std::process::id().to_string()).join("task");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// A thread at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The processor time that it has used.
    pub(crate) used: Duration,
    /// How long it was ready to run and had no processor; zero where that is not counted.
    pub(crate) queued: Duration,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// On a processor, or waiting for one.
    Ready,
    /// In a call that has not returned.
    Waiting,
    /// Stopped by a signal or a debugger, or at its end.
    Stopped,
}

/// Looks at a thread; `None` if it has ended, or the system does not tell.
pub(crate) fn sample(thread: &Path) -> Option<Sample> {
    let stat = stat(thread)?;
    let (used, queued) = match scheduled(thread) {
        Some(figures) => figures,
        None => (ticks(&stat)?, Duration::ZERO),
    };
    let state = match stat.split_whitespace().next()? {
        "R" => State::Ready,
        "S" | "D" | "I" => State::Waiting,
        _ => State::Stopped,
    };
    Some(Sample { used, queued, state })
}

/// The name under which the kernel knows the call that a thread waits in.
pub(crate) fn waits_in(thread: &Path) -> Option<String> {
    // A kernel can be built without these names, and a sandbox can hide them: "0", or nothing.
    let call = fs::read_to_string(thread.join("wchan")).ok()?;
    if !matches!(call.trim(), "" | "0") {
        return Some(call.trim().to_owned());
    }
    let call = fs::read_to_string(thread.join("syscall")).ok()?;
    let number: u32 = call.split_whitespace().next()?.parse().ok()?;
    Some(format!("system call {number}"))
}

/// Processor time and time in the queue. The kernel adds up the first at its ticks, every 1 to 10 ms.
fn scheduled(thread: &Path) -> Option<(Duration, Duration)> {
    let figures = fs::read_to_string(thread.join("schedstat")).ok()?;
    let mut figures = figures.split_whitespace().map(|figure| figure.parse().map(Duration::from_nanos));
    let (used, queued) = (figures.next()?.ok()?, figures.next()?.ok()?);
    // All zeros: they are not kept.
    (used > Duration::ZERO).then_some((used, queued))
}

/// The fields from the state on. Before them is a name in parentheses that may itself hold spaces.
fn stat(thread: &Path) -> Option<String> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.to_owned())
}

/// Kernels built without scheduler statistics count in ticks of 10 ms: fields 14 and 15, user and system.
fn ticks(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}
