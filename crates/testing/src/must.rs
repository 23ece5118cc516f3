//! What a program forgets without anybody noticing: to await a future, and to look at an error.
//!
//! The compiler warns of a future, or a `Result`, that a statement throws away (`unused_must_use`), and clippy of one that
//! is bound to `_` (`let_underscore_future`). Neither says anything once it has a name: `let _saved = save();`, a
//! `Vec<Result<..>>` that `join_all` gave, a `JoinHandle` whose `Err` nobody reads. For those there are [`must_await`] and
//! [`must_read`]: in a [simulated run](mod@crate::sim) the run fails, elsewhere a warning is printed, as asyncio does.

use crate::complaints::{Kind, Place, complain};
use pin_project_lite::pin_project;
use std::{
    any::type_name,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// Wraps a future that has to be awaited: dropped without ever having been polled, it complains, with the place where it
/// was made.
///
/// To be put around the future that a function returns, for those whose effect is the point (a write, a commit). Not for
/// the arms of a `select!`, which may never be polled.
///
/// # Examples
/// ```
/// use testing::{must_await, sim::Simulation};
///
/// fn save() -> impl Future<Output = ()> {
///     must_await(async { /* writes */ })
/// }
///
/// let failure = Simulation::new().check(async |_| {
///     let _saved = save(); // no warning from anybody
/// });
/// assert!(failure.unwrap_err().to_string().contains("never awaited"));
/// ```
#[track_caller]
pub fn must_await<F: Future>(future: F) -> MustAwait<F> {
    MustAwait { future, made: Place::of_caller(), polled: false }
}

pin_project! {
    /// Made by [`must_await`].
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct MustAwait<F> {
        #[pin]
        future: F,
        made: Place,
        polled: bool,
    }

    impl<F> PinnedDrop for MustAwait<F> {
        fn drop(this: Pin<&mut Self>) {
            if !this.polled {
                complain(
                    Kind::NeverAwaited,
                    &format!("the future made at {} was dropped without ever being awaited ({})", this.made, named::<F>()),
                );
            }
        }
    }
}

/// The path of the function whose future it is.
fn named<F>() -> &'static str {
    type_name::<F>().trim_end_matches("::{{closure}}")
}

impl<F: Future> Future for MustAwait<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        *this.polled = true;
        this.future.poll(cx)
    }
}

impl<F> fmt::Debug for MustAwait<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MustAwait").field("made", &self.made).finish_non_exhaustive()
    }
}

/// Wraps a `Result` whose error has to be looked at: an `Err` that is dropped unread complains.
///
/// To be put around what is collected and handed on, where `#[must_use]` does not reach: the elements of a `Vec`.
///
/// # Examples
/// ```
/// use testing::{must_read, sim::Simulation};
///
/// let failure = Simulation::new().check(async |_| {
///     let outcomes = vec![must_read(Ok(1)), must_read(Err("connection refused"))];
///     let good = outcomes.into_iter().filter_map(|outcome| outcome.ok()).count();
///     assert_eq!(good, 1); // and what of the other?
/// });
/// assert!(failure.unwrap_err().to_string().contains("connection refused"));
/// ```
#[track_caller]
pub fn must_read<T, E: fmt::Debug>(result: Result<T, E>) -> MustRead<T, E> {
    MustRead { result: Some(result), made: Place::of_caller() }
}

/// Made by [`must_read`].
#[must_use = "an error in it has to be read"]
pub struct MustRead<T, E: fmt::Debug> {
    /// `None` once it was read.
    result: Option<Result<T, E>>,
    made: Place,
}

impl<T, E: fmt::Debug> MustRead<T, E> {
    /// The result, which then is the reader's to handle.
    ///
    /// # Errors
    /// What was wrapped.
    #[expect(clippy::missing_panics_doc, reason = "it is `None` only after `self` is gone")]
    pub fn read(mut self) -> Result<T, E> {
        self.result.take().expect("taken only here, by value")
    }

    /// The value, if there is one. That is no way to look at an error: it complains.
    pub fn ok(mut self) -> Option<T> {
        match self.result.take() {
            Some(Ok(value)) => Some(value),
            error => {
                self.result = error;
                None
            }
        }
    }

    /// Whether it is an error; that alone is not reading it.
    #[must_use]
    pub fn is_err(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }
}

impl<T, E: fmt::Debug> Drop for MustRead<T, E> {
    fn drop(&mut self) {
        if let Some(Err(error)) = &self.result {
            complain(
                Kind::Unread,
                &format!("the error of {} was dropped without having been looked at: {error:?}", self.made),
            );
        }
    }
}

impl<T: fmt::Debug, E: fmt::Debug> fmt::Debug for MustRead<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MustRead").field("result", &self.result).field("made", &self.made).finish()
    }
}
