//! A few different things at once, in one task; the branches may borrow.
//!
//! `tokio::join!` and `tokio::try_join!` are the primitives, and for reads they are all that one needs. What they lack is
//! for writes. `try_join!` drops the branches beside the one that failed in the middle of what they do, and tells of one
//! error. `join!` takes no notice of errors, but a panic in one branch drops the others in the same way. [`all`] and
//! [`settle`] bring every branch to its end, whatever becomes of the others, and then tell everything.

use crate::{Panic, Settled};

use futures_util::FutureExt as _;
use pin_project_lite::pin_project;
use std::{
    error::Error,
    fmt,
    iter::once,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// Runs 2 to 8 branches to the end, all at once in this task; then fails with every error, if there was one.
///
/// Take it for writes that belong together: none of them is cut off because another one failed. Take
/// [`tokio::try_join!`] for reads, where the first error makes the others pointless; [`settle`] when the values of the
/// branches that did well are needed beside the errors, to undo them or to go on with them; and
/// [`gather`](crate::gather()) for many of the same, or for work that is to use several threads.
///
/// # Shape
/// A tuple of futures in, a tuple of values out, in the order in which they were written. All branches begin with the
/// first poll, in that order, and it takes as long as the slowest. They need not be `Send` or `'static`, and no task is
/// spawned: they take turns on one thread, and a branch that computes or blocks keeps the others waiting.
///
/// # Errors
/// [`JoinErrors`] once every branch has ended: what failed, and what panicked, in the order of the branches. The values of
/// the others are dropped.
///
/// # Panics
/// Never with the panic of a branch: that is an error among the others, and `Panic::resume` goes on with it.
///
/// # Cancel safety
/// Every branch is dropped where it stands, before the drop returns; values in hand are lost. So a caller that is dropped
/// cuts off what no error can: writes that must survive that, too, belong into a task of their own. Locks and permits that
/// a branch holds are given back with it.
///
/// # Source
/// `join_then_try!` of the crate cancel-safe-futures, born of `try_join!` around writes; it runs all and tells of one error.
///
/// # Examples
/// ```
/// use concurrency::join;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let name = String::from("Ada");
/// let both = join::all((async { Ok::<_, String>(name.len()) }, async { Ok(&name) })).await;
/// assert_eq!(both.unwrap(), (3, &name));
///
/// let full = async { Err::<(), _>("the disk is full") };
/// let gone = async { Err::<(), _>("no route to the index") };
/// let errors = join::all((full, async { Ok(7) }, gone)).await.unwrap_err();
/// assert_eq!(errors.to_string(), "branch 0 failed, and 1 more of 3");
/// assert_eq!(errors.failures().map(|failure| failure.branch).collect::<Vec<_>>(), [0, 2]);
/// # });
/// ```
pub fn all<B: SameError>(branches: B) -> impl Future<Output = Result<B::Values, JoinErrors<B::Error>>> {
    // Not an async function: its state would hold the branches a second time, and joins stand in joins.
    branches.run().map(B::values)
}

/// Runs 2 to 8 branches to the end, all at once in this task, and says of each how it ended.
///
/// Take it where each outcome matters by itself, as [`gather`](crate::gather()) does for many of the same. The branches
/// may differ in their values and in their errors.
///
/// # Shape
/// A tuple of futures in, a tuple of [`Settled`] out, in the order in which they were written; otherwise as [`all`].
///
/// # Errors
/// None of its own: an error or a panic is the outcome of its branch. None is [`Settled::Cancelled`].
///
/// # Panics
/// Never with the panic of a branch. What branches share by reference may be half changed after one: a std `Mutex` is
/// then poisoned and says so, a `RefCell` or a tokio `Mutex` is not.
///
/// # Cancel safety
/// As [`all`].
///
/// # Source
/// `Promise.allSettled` of ECMAScript 2020, for branches that differ.
///
/// # Examples
/// ```
/// use concurrency::{Settled, join};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (count, name) = join::settle((async { "7".parse::<u8>() }, async { String::from_utf8(vec![0xFF]) })).await;
/// assert!(matches!(count, Settled::Ok(7)));
/// assert!(matches!(name, Settled::Failed(_)));
/// # });
/// ```
pub fn settle<B: Branches>(branches: B) -> impl Future<Output = B::Settled> {
    branches.run().map(B::settled)
}

/// Why [`all`] gave no values.
#[derive(Debug)]
pub struct JoinErrors<E> {
    /// The first in the order of the branches; its error is the [`source`](Error::source). Not the first in time: which
    /// write failed earlier is luck, and which was written first in the program is not.
    pub first: Failure<E>,
    /// The others that failed, in the order of the branches.
    pub rest: Vec<Failure<E>>,
    /// How many branches there were; those that are not listed have done what they were to do.
    pub branches: usize,
}

impl<E> JoinErrors<E> {
    /// Every failure, in the order of the branches.
    pub fn failures(&self) -> impl Iterator<Item = &Failure<E>> {
        once(&self.first).chain(&self.rest)
    }
}

impl<E> fmt::Display for JoinErrors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "branch {} failed", self.first.branch)?;
        match self.rest.len() {
            0 => write!(f, ", of {}", self.branches),
            more => write!(f, ", and {more} more of {}", self.branches),
        }
    }
}

impl<E: Error + 'static> Error for JoinErrors<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first)
    }
}

/// A branch that gave no value.
#[derive(Debug, thiserror::Error)]
#[error("branch {branch}")]
pub struct Failure<E> {
    /// Its place in the tuple, from 0.
    pub branch: usize,
    /// What became of it.
    #[source]
    pub error: BranchError<E>,
}

/// What became of a branch that gave no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError<E> {
    /// It gave an error, which says what can be done.
    #[error(transparent)]
    Failed(E),
    /// It panicked: a bug, and asking again meets it again. [`Panic::resume`] goes on with it.
    #[error("a panic: {0}")]
    Panicked(Panic),
}

/// A tuple of 2 to 8 futures that give results.
pub trait Branches: sealed::Sealed {
    /// What came of each.
    type Ended;
    /// The same, in the words of this crate.
    type Settled;

    /// Runs them to the end.
    ///
    /// # Cancel safety
    /// As [`all`].
    fn run(self) -> impl Future<Output = Self::Ended>;

    /// Says of each how it ended.
    fn settled(ended: Self::Ended) -> Self::Settled;
}

/// [`Branches`] whose errors are of one type.
pub trait SameError: Branches {
    /// What they give when all goes well.
    type Values;
    /// The error of each.
    type Error;

    /// The values, if each of them gave one.
    ///
    /// # Errors
    /// All that failed or panicked.
    fn values(ended: Self::Ended) -> Result<Self::Values, JoinErrors<Self::Error>>;
}

mod sealed {
    /// Not for others: what is joined is a tuple.
    pub trait Sealed {}
}

type Ended<T, E> = Result<T, BranchError<E>>;

pin_project! {
    /// Runs a branch to the end, also if that is a panic.
    struct ToTheEnd<F> {
        #[pin]
        branch: Option<F>,
    }
}

// ANCHOR: to_the_end
impl<T, E, F: Future<Output = Result<T, E>>> Future for ToTheEnd<F> {
    type Output = Ended<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut branch = self.project().branch;
        // Whatever unwinds from here would take the other branches along: they stand in the same task. What has ended
        // is dropped in here, too, for destructors can panic.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let ended = branch.as_mut().as_pin_mut().map(|running| running.poll(cx));
            if let Some(Poll::Ready(_)) = ended {
                branch.set(None);
            }
            ended
        }));
        match ended {
            Ok(Some(Poll::Ready(ended))) => Poll::Ready(ended.map_err(BranchError::Failed)),
            Ok(_) => Poll::Pending,
            Err(payload) => {
                // Of two panics the first is told.
                drop(catch_unwind(AssertUnwindSafe(|| branch.set(None))));
                Poll::Ready(Err(BranchError::Panicked(Panic::new(payload))))
            }
        }
    }
}
// ANCHOR_END: to_the_end

fn settled<T, E>(ended: Ended<T, E>) -> Settled<T, E> {
    match ended {
        Ok(value) => Settled::Ok(value),
        Err(BranchError::Failed(error)) => Settled::Failed(error),
        Err(BranchError::Panicked(panic)) => Settled::Panicked(panic),
    }
}

macro_rules! branches {
    ($count:literal: $($branch:tt $it:ident $future:ident $value:ident $error:ident),+) => {
        impl<$($future, $value, $error),+> Branches for ($($future,)+)
        where
            $($future: Future<Output = Result<$value, $error>>),+
        {
            type Ended = ($(Ended<$value, $error>,)+);
            type Settled = ($(Settled<$value, $error>,)+);

            fn run(self) -> impl Future<Output = Self::Ended> {
                let ($($it,)+) = ($(ToTheEnd { branch: Some(self.$branch) },)+);
                async move { tokio::join!($($it),+) }
            }

            fn settled(ended: Self::Ended) -> Self::Settled {
                ($(settled(ended.$branch),)+)
            }
        }

        impl<$($future, $value,)+ E> SameError for ($($future,)+)
        where
            $($future: Future<Output = Result<$value, E>>),+
        {
            type Values = ($($value,)+);
            type Error = E;

            fn values(ended: Self::Ended) -> Result<Self::Values, JoinErrors<E>> {
                let mut failures = Vec::new();
                let mut failed = |branch, error| failures.push(Failure { branch, error });
                match ($(ended.$branch.map_err(|error| failed($branch, error)),)+) {
                    ($(Ok($it),)+) => Ok(($($it,)+)),
                    _ => {
                        let mut failures = failures.into_iter();
                        let first = failures.next().expect("whatever gave no value is in the list");
                        Err(JoinErrors { first, rest: failures.collect(), branches: $count })
                    }
                }
            }
        }

        impl<$($future),+> sealed::Sealed for ($($future,)+) {}
    };
}

branches!(2: 0 a F0 T0 E0, 1 b F1 T1 E1);
branches!(3: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2);
branches!(4: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2, 3 d F3 T3 E3);
branches!(5: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2, 3 d F3 T3 E3, 4 e F4 T4 E4);
branches!(6: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2, 3 d F3 T3 E3, 4 e F4 T4 E4, 5 f F5 T5 E5);
branches!(7: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2, 3 d F3 T3 E3, 4 e F4 T4 E4, 5 f F5 T5 E5, 6 g F6 T6 E6);
branches!(8: 0 a F0 T0 E0, 1 b F1 T1 E1, 2 c F2 T2 E2, 3 d F3 T3 E3, 4 e F4 T4 E4, 5 f F5 T5 E5, 6 g F6 T6 E6, 7 h F7 T7 E7);
