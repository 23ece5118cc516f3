//! Runs a body on a thread of its own, and notices when that thread is stuck: an async program can't be interrupted
//! from within, while it blocks its thread or computes without end.

use crate::activity::{self, Sample, State};
use common::Recorder;
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// What the simulations on a thread tell its watcher.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How often a clock moved.
    moved: AtomicU64,
    /// How often a runtime had nothing to do.
    parks: AtomicU64,
    /// Whether it has nothing to do at present.
    parked: AtomicBool,
    /// How many runs have begun.
    runs: AtomicU64,
    /// That of the run in work.
    recorder: Mutex<Option<Recorder>>,
    /// Set while the body blocks on purpose.
    allowed: AtomicBool,
    /// The threads of `spawn_blocking`, as far as the system tells of them.
    blocking: Mutex<Vec<PathBuf>>,
}

thread_local! {
    /// The progress of this thread, if it is watched.
    static HERE: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

impl Progress {
    /// That of this thread; one that nobody looks at, if it is not watched.
    pub(crate) fn here() -> Arc<Self> {
        HERE.with_borrow(Clone::clone).unwrap_or_default()
    }

    pub(crate) fn begin(&self, recorder: &Recorder) {
        self.runs.fetch_add(1, Relaxed);
        self.moved.fetch_add(1, Relaxed);
        // Those of an earlier run are not waited for any more.
        self.blocking.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorder.clone());
    }

    pub(crate) fn clock_moved(&self) {
        self.moved.fetch_add(1, Relaxed);
    }

    pub(crate) fn parked(&self, parked: bool) {
        self.parks.fetch_add(u64::from(parked), Relaxed);
        self.parked.store(parked, Relaxed);
    }

    /// This thread runs a blocking function, for which the body may wait.
    pub(crate) fn blocks(&self) {
        self.blocking.lock().unwrap_or_else(PoisonError::into_inner).extend(activity::this_thread());
    }

    /// How long each of those threads has been ready to run, and had no processor.
    fn queued(&self) -> Vec<(Duration, PathBuf)> {
        let threads = self.blocking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        threads.into_iter().filter_map(|thread| Some((activity::sample(&thread)?.queued, thread))).collect()
    }

    pub(crate) fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Relaxed);
    }

    /// The recorder of the run in work; `None` too while the stuck thread holds it.
    pub(crate) fn recorder(&self) -> Option<Recorder> {
        self.recorder.try_lock().ok()?.clone()
    }
}

/// How long a watched thread may stand still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Without any progress, and with the processor to itself.
    pub(crate) idle: Duration,
    /// The same, while the runtime has nothing to do and waits for a socket, or for another thread.
    pub(crate) parked: Duration,
    /// Without any progress, however busy the machine may be.
    pub(crate) limit: Duration,
    /// In one run.
    pub(crate) run: Duration,
}

impl Patience {
    /// `idle`, and where that can't be told or the machine is busy, four times that, but not less than 20 s: a limit is no
    /// measure of what little a starved thread gets to do.
    pub(crate) fn of(idle: Duration) -> Self {
        // Longer than `with_real_io` waits, which has better words for it.
        let parked = Duration::from_secs(90);
        Self { idle, parked, limit: (4 * idle).max(Duration::from_secs(20)), run: Duration::MAX }
    }
}

/// What came of a watched body.
#[derive(Debug)]
pub(crate) enum Watched<T> {
    /// It returned.
    Ended(T),
    /// It panicked outside of any run.
    Died,
    /// It is stuck, and left to itself.
    Stuck(String),
    /// There was no thread to be had.
    NoThread(std::io::Error),
}

/// Asleep for this long in the middle of a poll, a thread has blocked.
const NAP: Duration = Duration::from_millis(100);

/// Asleep for a lock: it may be one of the process's own (the allocator's, the system's), whose holder has no processor.
const LOCKED: Duration = Duration::from_secs(1);

/// Runs `body` on a thread called `name`, and comes back when it has ended or is stuck. `napped` hears of each stretch
/// in which the thread slept in the middle of a poll, once.
pub(crate) fn watched<T: Send + 'static>(
    name: &str,
    progress: &Arc<Progress>,
    patience: Patience,
    body: impl FnOnce() -> T + Send + 'static,
    mut napped: impl FnMut(Duration),
) -> Watched<T> {
    let (send, receive) = mpsc::channel();
    let (send_id, receive_id) = mpsc::channel();
    let fed = progress.clone();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        HERE.set(Some(fed));
        // The receivers are gone only if the body was given up.
        drop(send_id.send(activity::this_thread()));
        drop(send.send(body()));
    });
    let handle = match spawned {
        Ok(handle) => handle,
        Err(error) => return Watched::NoThread(error),
    };
    let thread = receive_id.recv().ok().flatten();
    let mut still = Stretch::begin(progress, thread.as_deref());
    let mut poll = Stretch::begin(progress, thread.as_deref());
    let mut told = None;
    let mut run = (progress.runs.load(Relaxed), Instant::now());
    loop {
        match receive.recv_timeout(Duration::from_millis(20)) {
            Ok(value) => {
                // Its thread-locals are dropped before anybody goes on.
                drop(handle.join());
                return Watched::Ended(value);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Watched::Died,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let runs = progress.runs.load(Relaxed);
        if runs != run.0 {
            run = (runs, Instant::now());
        }
        if run.1.elapsed() >= patience.run {
            return Watched::Stuck(format!("one case has taken {} s of real time", patience.run.as_secs()));
        }
        if progress.moved.load(Relaxed) != still.moved {
            still = Stretch::begin(progress, thread.as_deref());
        } else if progress.parked.load(Relaxed) && still.began.elapsed() < patience.parked {
            // It waits for others, and they may take their time.
        } else if let Some(seen) = still.hang(progress, patience, thread.as_deref()) {
            return Watched::Stuck(seen);
        }
        if progress.parks.load(Relaxed) != poll.parks
            || progress.parked.load(Relaxed)
            || progress.allowed.load(Relaxed)
        {
            poll = Stretch::begin(progress, thread.as_deref());
        } else if told != Some(poll.began)
            && let Some(slept) = poll.slept(thread.as_deref())
        {
            told = Some(poll.began);
            napped(slept);
        }
    }
}

/// A stretch of real time without progress.
struct Stretch {
    moved: u64,
    parks: u64,
    began: Instant,
    /// The thread as it was at the beginning.
    then: Option<Sample>,
    /// How long each thread of `spawn_blocking` had been without a processor.
    queued: Vec<(Duration, PathBuf)>,
}

impl Stretch {
    fn begin(progress: &Progress, thread: Option<&Path>) -> Self {
        Self {
            moved: progress.moved.load(Relaxed),
            parks: progress.parks.load(Relaxed),
            began: Instant::now(),
            then: thread.and_then(activity::sample),
            queued: progress.queued(),
        }
    }

    /// Says that the thread hangs, and how; nothing while it may only be slow.
    fn hang(&self, progress: &Progress, patience: Patience, thread: Option<&Path>) -> Option<String> {
        let waited = self.began.elapsed();
        // Asked only then: it reads files.
        if waited < patience.idle {
            return None;
        }
        let now = thread.and_then(activity::sample);
        hang(patience, waited, self.then.zip(now), self.starved(progress))
    }

    /// How long a thread of `spawn_blocking` has been ready to run, and had no processor.
    fn starved(&self, progress: &Progress) -> Duration {
        let before = |thread: &PathBuf| {
            let known = self.queued.iter().find(|(_, known)| known == thread);
            known.map(|(queued, _)| *queued).unwrap_or_default()
        };
        let starved = |(queued, thread): (Duration, PathBuf)| queued.saturating_sub(before(&thread));
        progress.queued().into_iter().map(starved).max().unwrap_or_default()
    }

    /// How long the thread has slept, if it has for longer than a [`NAP`] and still does.
    fn slept(&self, thread: Option<&Path>) -> Option<Duration> {
        let waited = self.began.elapsed();
        if waited < NAP {
            return None;
        }
        let thread = thread?;
        let slept = slept(waited, self.then?, activity::sample(thread)?)?;
        // Looked at only now, since it is rare.
        (slept >= LOCKED || !activity::waits_in(thread).is_none_or(|call| is_lock(&call))).then_some(slept)
    }
}

/// Whether a thread in this call of the kernel waits for a lock, be it that of the process's memory map.
fn is_lock(call: &str) -> bool {
    // Where the kernel tells no names: futex, mmap, mprotect, munmap and madvise, on x86-64 and on ARM.
    let numbers = ["202", "9", "10", "11", "28", "98", "222", "226", "215", "233"];
    match call.strip_prefix("system call ") {
        Some(number) => numbers.contains(&number),
        None => ["futex", "rwsem", "mutex", "down_", "lock_"].iter().any(|lock| call.contains(lock)),
    }
}

/// `samples` are of the thread, before and now; `elsewhere` is how long one that it may wait for had no processor.
fn hang(
    patience: Patience,
    waited: Duration,
    samples: Option<(Sample, Sample)>,
    elsewhere: Duration,
) -> Option<String> {
    let long = match waited.as_secs() {
        0 => format!("{} ms", waited.as_millis()),
        seconds => format!("{seconds} s"),
    };
    if let Some((then, now)) = samples {
        let used = now.used.saturating_sub(then.used);
        // Who has no processor, or waits for a blocking function that has none, is slow and not blocked.
        let own = waited.saturating_sub(now.queued.saturating_sub(then.queued).max(elsewhere));
        if used >= patience.idle * 3 / 4 {
            return Some(format!(
                "a busy loop: {long} of computing in which no time passed for anybody else: a loop without an \
                 `.await`, or one whose awaits are ready at once (`yield_now`, `sleep(0)`, `try_recv`)",
            ));
        }
        if used <= patience.idle / 10 && own >= patience.idle && now.state == State::Waiting {
            return Some(format!(
                "a blocked thread: for {long} nothing could run, because the thread that runs every future \
                 stands still in a call that is not async (a std lock, channel, sleep or join) or waits for one \
                 elsewhere (a thread; `spawn_blocking`, all of whose threads may be taken by jobs that wait for jobs)",
            ));
        }
    }
    (waited >= patience.limit)
        .then(|| format!("the thread that runs every future is busy or blocked: no progress for {long}"))
}

/// A thread that waits for its turn on a busy machine does not sleep.
fn slept(waited: Duration, then: Sample, now: Sample) -> Option<Duration> {
    let awake = (now.used + now.queued).saturating_sub(then.used + then.queued);
    let slept = waited.saturating_sub(awake);
    (now.state == State::Waiting && slept >= NAP).then_some(slept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const fn sample(used: u64, queued: u64, state: State) -> Sample {
        Sample { used: ms(used), queued: ms(queued), state }
    }

    const BEGIN: Sample = sample(50, 30, State::Ready);
    const PATIENCE: Patience =
        Patience { idle: ms(1000), parked: ms(1000), limit: ms(4000), run: Duration::MAX };

    #[test]
    fn a_lock_is_told_from_a_call_that_sleeps() {
        for lock in ["futex_do_wait", "rwsem_down_read_slowpath", "system call 202"] {
            assert!(is_lock(lock), "{lock}");
        }
        for call in [
            "hrtimer_nanosleep",
            "do_nanosleep",
            "wait_woken",
            "pipe_read",
            "inet_csk_accept",
            "system call 230",
        ] {
            assert!(!is_lock(call), "{call}");
        }
    }

    #[test]
    fn only_a_thread_that_did_nothing_for_long_and_still_waits_has_slept() {
        let slept_after =
            |used: u64, queued: u64, state| slept(ms(300), BEGIN, sample(50 + used, 30 + queued, state));
        assert_eq!(slept_after(10, 0, State::Waiting), Some(ms(290)));
        assert_eq!(slept_after(10, 0, State::Ready), None, "it is on its way");
        assert_eq!(slept_after(250, 0, State::Waiting), None, "it has computed");
        assert_eq!(slept_after(0, 250, State::Waiting), None, "it had no processor");
        assert_eq!(slept_after(200, 1, State::Waiting), None, "a nap of 99 ms is none");
    }

    #[test]
    fn busy_blocked_and_starved_are_told_apart() {
        let told = |waited, used: u64, queued: u64, state| {
            let now = sample(50 + used, 30 + queued, state);
            let told = hang(PATIENCE, ms(waited), Some((BEGIN, now)), ms(0));
            told.map(|told| told.split(':').next().unwrap_or_default().to_owned())
        };
        assert_eq!(told(1000, 900, 0, State::Ready).as_deref(), Some("a busy loop"));
        assert_eq!(told(1000, 5, 0, State::Waiting).as_deref(), Some("a blocked thread"));
        assert_eq!(told(1000, 5, 0, State::Ready), None, "it is about to run");
        assert_eq!(told(1000, 5, 900, State::Waiting), None, "it had no processor");
        assert_eq!(told(1000, 400, 0, State::Waiting), None, "something of both: who knows");
        assert!(told(4000, 400, 3600, State::Ready).is_some_and(|told| told.contains("busy or blocked")));
    }

    #[test]
    fn who_waits_for_a_starved_blocking_function_is_not_blocked() {
        let samples = Some((BEGIN, sample(51, 30, State::Waiting)));
        assert!(hang(PATIENCE, ms(1000), samples, ms(0)).is_some());
        assert!(hang(PATIENCE, ms(1000), samples, ms(500)).is_none());
        assert!(hang(PATIENCE, ms(1500), samples, ms(500)).is_some());
    }

    #[test]
    fn where_the_system_does_not_tell_only_the_limit_counts() {
        assert_eq!(hang(PATIENCE, ms(3999), None, ms(0)), None);
        assert!(hang(PATIENCE, ms(4000), None, ms(0)).is_some());
    }
}
