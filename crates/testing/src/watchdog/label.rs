//! Names for what a thread is polling.

use super::seats::Thread;
use pin_project_lite::pin_project;
use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    pin::Pin,
    ptr,
    sync::{LazyLock, PoisonError, RwLock},
    task::{Context, Poll},
};

/// The name and the place of a [`labelled`](labelled()) future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The name that it was given.
    pub name: &'static str,
    /// Where it was given.
    pub place: &'static Location<'static>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}:{})", self.name, self.place.file(), self.place.line())
    }
}

/// Names a future, so that a [`Watchdog`](super::Watchdog) can say in what a worker is stuck.
///
/// Put it around what a request or a job does, not around every call: of nested names the innermost is told. Tasks that
/// the future spawns are not in it. It costs a poll a few nanoseconds, and needs no watchdog to be there. Each pair of
/// name and place is kept for as long as the process runs, hence the `&'static str`; what varies from call to call
/// belongs into a tracing span.
///
/// # Cancel safety
/// As cancel safe as `future`. While the future is dropped, the name holds too.
///
/// # Examples
/// ```
/// use testing::watchdog::labelled;
///
/// async fn render() -> String {
///     labelled("render", async { String::from("<p>") }).await
/// }
/// # use futures_util::FutureExt as _;
/// # assert_eq!(render().now_or_never().as_deref(), Some("<p>"));
/// ```
#[must_use = "futures do nothing unless polled"]
#[track_caller]
pub fn labelled<F: Future>(name: &'static str, future: F) -> Labelled<F> {
    Labelled { future: Some(future), number: NAMES.number(Label { name, place: Location::caller() }) }
}

pin_project! {
    /// A future with a name; made by [`labelled`](labelled()).
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless polled"]
    pub struct Labelled<F> {
        // `None` once it has been dropped, so that what its destructor does has the name too.
        #[pin]
        future: Option<F>,
        number: u32,
    }

    impl<F> PinnedDrop for Labelled<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _marked = Marked::enter(*this.number);
            this.future.set(None);
        }
    }
}

impl<F> fmt::Debug for Labelled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labelled").field("label", &NAMES.label(self.number)).finish_non_exhaustive()
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _marked = Marked::enter(*this.number);
        this.future.as_pin_mut().expect("polled after it had been dropped").poll(cx)
    }
}

/// Marks this thread; when dropped, the outer mark is back.
struct Marked {
    outer: u32,
}

impl Marked {
    fn enter(number: u32) -> Self {
        Self { outer: Thread::mark(number) }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        Thread::mark(self.outer);
    }
}

/// Each label has a number, which fits into an atomic: to mark a thread takes no lock.
static NAMES: LazyLock<Names> = LazyLock::new(Names::default);

#[derive(Default)]
struct Names(RwLock<Known>);

#[derive(Default)]
struct Known {
    labels: Vec<Label>,
    numbers: HashMap<[usize; 3], u32>,
}

impl Names {
    fn number(&self, label: Label) -> u32 {
        // The addresses, because to hash the texts would take longer than all the rest.
        let key = [label.name.as_ptr().addr(), label.name.len(), ptr::from_ref(label.place).addr()];
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(&key).copied();
        known.unwrap_or_else(|| {
            let Known { labels, numbers } = &mut *self.0.write().unwrap_or_else(PoisonError::into_inner);
            *numbers.entry(key).or_insert_with(|| {
                labels.push(label);
                u32::try_from(labels.len()).unwrap_or(0)
            })
        })
    }

    /// Zero is no label.
    fn label(&self, number: u32) -> Option<Label> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).labels.get(place).copied()
    }
}

pub(super) fn label(number: u32) -> Option<Label> {
    NAMES.label(number)
}
