//! Records a [`Trace`] of whatever is wrapped in a [`lane`](Recorder::lane).

use crate::{
    Trace,
    clock::{self, Driver},
    trace::{By, Event, Lane, What},
};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// Records what each of its lanes does. Clones record into the same trace.
///
/// It works on the paused clock, where the trace is exact and always the same, and on a running one.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, draw};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let trace = clock::paused(async {
///     let recorder = Recorder::new("a nap");
///     recorder.lane("sleeper", sleep(Duration::from_millis(20))).await;
///     recorder.trace()
/// });
/// assert_eq!(trace.end(), Duration::from_millis(20));
/// println!("{}", draw::terminal(&trace, draw::Terminal::default()));
/// ```
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    start: Instant,
    /// A std mutex: it is held for a push, never across an await.
    trace: Mutex<Trace>,
}

thread_local! {
    /// The lane whose code this thread is running.
    static CURRENT: RefCell<Option<(Recorder, usize)>> = const { RefCell::new(None) };
    /// The lane that has just ended on this thread. When a task ends, the runtime wakes whoever awaits its handle,
    /// right after the last poll: that wake-up is this lane's doing. Forgotten at the next poll, at the next park, and
    /// after [`AFTERMATH`].
    static ENDED: RefCell<Option<(Recorder, usize, Duration)>> = const { RefCell::new(None) };
}

pub(crate) fn forget_the_ended() {
    drop(ENDED.take());
}

/// How long after a lane's end a wake-up can be its doing. On the paused clock no time passes in between.
const AFTERMATH: Duration = Duration::from_micros(100);

impl Recorder {
    /// Starts a trace now.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        let trace = Trace { title: title.into(), lanes: Vec::new() };
        Self(Arc::new(Shared { start: Instant::now(), trace: Mutex::new(trace) }))
    }

    /// Wraps a future: its birth, polls, wake-ups and end are recorded under `name`, its being dropped too.
    #[must_use = "futures do nothing unless polled"]
    pub fn lane<F: Future>(&self, name: impl Into<String>, future: F) -> Recorded<F> {
        self.wrap(name.into(), future, |_| None)
    }

    /// Like [`lane`](Self::lane), for a future that may give an error: the lane then ends as failed.
    #[must_use = "futures do nothing unless polled"]
    pub fn try_lane<F, T, E>(&self, name: impl Into<String>, future: F) -> Recorded<F>
    where
        F: Future<Output = Result<T, E>>,
        E: fmt::Display,
    {
        self.wrap(name.into(), future, |output| output.as_ref().err().map(E::to_string))
    }

    /// What was recorded so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.lock().clone()
    }

    /// The time since the trace began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    fn wrap<F: Future>(&self, name: String, future: F, failure: Failure<F::Output>) -> Recorded<F> {
        let born = self.now();
        let mut trace = self.lock();
        trace.lanes.push(Lane { name, born, events: Vec::new() });
        let lane = trace.lanes.len() - 1;
        Recorded {
            future: Some(future),
            track: Track { recorder: self.clone(), lane, waker: None, rung: Arc::default(), over: false },
            failure,
        }
    }

    fn push(&self, lane: usize, at: Duration, what: What) {
        self.lock().lanes[lane].events.push(Event { at, what });
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.0.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("trace", &*self.lock()).finish_non_exhaustive()
    }
}

/// Leaves a remark in the lane whose code is running; without one it does nothing.
pub fn note(remark: impl Into<String>) {
    push_here(What::Note(remark.into()));
}

/// Names what the current lane waits for while `future` is pending.
///
/// # Cancel safety
/// As cancel safe as `future`.
pub async fn waits_for<F: Future>(what: &str, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut told = false;
    std::future::poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        if poll.is_pending() && !told {
            told = true;
            push_here(What::Waits(what.to_owned()));
        }
        poll
    })
    .await
}

/// The name of the lane whose code is running on this thread.
#[must_use]
pub fn current_lane() -> Option<String> {
    let (recorder, lane) = CURRENT.with_borrow(Clone::clone)?;
    let trace = recorder.lock();
    Some(trace.lanes[lane].name.clone())
}

fn push_here(what: What) {
    if let Some((recorder, lane)) = CURRENT.with_borrow(Clone::clone) {
        recorder.push(lane, recorder.now(), what);
    }
}

/// Tells an error from a value, if the output can be one.
type Failure<T> = fn(&T) -> Option<String>;

pin_project! {
    /// A future whose life is recorded; made by [`Recorder::lane`].
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless polled"]
    pub struct Recorded<F: Future> {
        // `None` once it has been dropped, so that what its destructor does is recorded as this lane's doing.
        #[pin]
        future: Option<F>,
        track: Track,
        failure: Failure<F::Output>,
    }

    impl<F: Future> PinnedDrop for Recorded<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let track = this.track;
            if track.over {
                // Its last poll is what counts; the drop of a finished future must not hide it.
                return;
            }
            let here = Here::enter(track);
            this.future.set(None);
            drop(here);
            track.end(What::Dropped);
        }
    }
}

impl<F: Future> fmt::Debug for Recorded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("lane", &self.track.lane).finish_non_exhaustive()
    }
}

impl<F: Future> Future for Recorded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let track = this.track;
        let future = this.future.as_pin_mut().expect("polled after it had been dropped");
        let waker = track.waker(cx.waker());
        let poll_begun = track.begin_poll();
        let here = Here::enter(track);
        let poll = catch_unwind(AssertUnwindSafe(|| future.poll(&mut Context::from_waker(&waker))));
        drop(here);
        track.end_poll(poll_begun);
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                track.end((this.failure)(&output).map_or(What::Finished, What::Failed));
                Poll::Ready(output)
            }
            Err(payload) => {
                track.end(What::Panicked(panic_message(&*payload).to_owned()));
                resume_unwind(payload)
            }
        }
    }
}

/// What a panic said, if it said something.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "a panic without a message",
    }
}

struct Track {
    recorder: Recorder,
    lane: usize,
    /// The task's waker, and ours around it; kept until the task's changes.
    waker: Option<(Waker, Arc<Bell>)>,
    /// Only the first ring before a poll tells something; after the end, none does. All bells share it: an old one may
    /// still hang somewhere when the task has come with another waker.
    rung: Arc<Mutex<bool>>,
    over: bool,
}

impl Track {
    fn waker(&mut self, task: &Waker) -> Waker {
        let bell = match &self.waker {
            Some((known, bell)) if known.will_wake(task) => bell.clone(),
            _ => {
                let bell = Arc::new(Bell {
                    task: task.clone(),
                    recorder: self.recorder.clone(),
                    lane: self.lane,
                    rung: self.rung.clone(),
                });
                self.waker = Some((task.clone(), bell.clone()));
                bell
            }
        };
        self.rings(true);
        bell.into()
    }

    /// Gives the place of the poll among the lane's events, for [`end_poll`](Self::end_poll).
    fn begin_poll(&self) -> usize {
        let now = self.recorder.now();
        let mut trace = self.recorder.lock();
        let events = &mut trace.lanes[self.lane].events;
        events.push(Event { at: now, what: What::Polled { until: now } });
        events.len() - 1
    }

    fn end_poll(&self, place: usize) {
        let now = self.recorder.now();
        self.recorder.lock().lanes[self.lane].events[place].what = What::Polled { until: now };
    }

    fn end(&mut self, what: What) {
        if !self.over {
            self.over = true;
            let now = self.recorder.now();
            ENDED.set(Some((self.recorder.clone(), self.lane, now)));
            self.recorder.push(self.lane, now, what);
            self.rings(false);
        }
    }

    /// Whether the next ring is worth recording.
    fn rings(&self, next: bool) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = !next;
    }
}

/// Marks this thread as running a lane's code; undone on drop.
struct Here(Option<(Recorder, usize)>);

impl Here {
    fn enter(track: &Track) -> Self {
        forget_the_ended();
        Self(CURRENT.replace(Some((track.recorder.clone(), track.lane))))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        drop(CURRENT.replace(self.0.take()));
    }
}

/// Passes a wake-up on to the task, and records who rang.
struct Bell {
    task: Waker,
    recorder: Recorder,
    lane: usize,
    rung: Arc<Mutex<bool>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let first = !std::mem::replace(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner), true);
        if first {
            let now = self.recorder.now();
            let ended =
                || ENDED.with_borrow(Clone::clone).filter(|(_, _, at)| now.saturating_sub(*at) <= AFTERMATH);
            let current = CURRENT.with_borrow(Clone::clone);
            let by = match (current, ended(), clock::driven_by()) {
                (Some((recorder, lane)), ..) if self.recorder.is(&recorder) => By::Lane(lane),
                (None, None, Driver::Clock | Driver::Late) => By::Clock,
                (None, Some((recorder, lane, _)), Driver::Tasks) if self.recorder.is(&recorder) => {
                    By::Lane(lane)
                }
                _ => By::Other,
            };
            // A lane that wakes itself only yields: no cause worth an arrow.
            if by != By::Lane(self.lane) {
                self.recorder.push(self.lane, now, What::Woken(by));
            }
        }
        self.task.wake_by_ref();
    }
}
