//! What many checks ask of the calls that an answer made to a [`Backend`](common::Backend).

use crate::{Case, Checked};
use common::backend::{Call, CallEnd};
use std::num::NonZeroUsize;

/// A limit, for a check that writes it down.
///
/// # Panics
/// If `limit` is 0.
///
/// # Examples
/// ```
/// assert_eq!(testing::calls::limit_of(3).get(), 3);
/// ```
#[must_use]
pub fn limit_of(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("a limit is at least 1")
}

/// Whether each id was asked for as often as it was given, in whatever order.
///
/// # Errors
/// The verdict that `rule` is broken.
pub fn asked_for_each<T>(case: &Case<T>, rule: &str, ids: &[u32], calls: &[Call]) -> Checked {
    let mut asked: Vec<u32> = calls.iter().map(|call| call.id).collect();
    let mut wanted = ids.to_vec();
    asked.sort_unstable();
    wanted.sort_unstable();
    case.rule(rule, asked == wanted, format!("calls for {wanted:?}"), format!("calls for {asked:?}"))
}

/// Whether each call was awaited until it ended, well or not: none was dropped, none is still in flight.
///
/// # Errors
/// The verdict that `rule` is broken.
pub fn seen_to_their_end<T>(case: &Case<T>, rule: &str, calls: &[Call]) -> Checked {
    let unseen = calls.iter().filter(|call| !matches!(call.ended, Some((_, end)) if end != CallEnd::Dropped));
    let unseen: Vec<u32> = unseen.map(|call| call.id).collect();
    case.rule(rule, unseen.is_empty(), "every call is seen to its end", format!("dropped: {unseen:?}"))
}

/// Whether a drop stopped the work: `running` calls were in flight after it, and `more` were made later.
///
/// Aborted tasks go when the scheduler next looks at them: give it that chance, with
/// [`tasks_left`](crate::simulation::tasks_left), before `running` is read; and seconds before `more` is.
///
/// # Errors
/// The verdict that `rule` is broken.
pub fn nothing_runs_on<T>(case: &Case<T>, rule: &str, running: usize, more: usize) -> Checked {
    case.rule(
        rule,
        running == 0 && more == 0,
        "no call runs on, none is made any more",
        format!("{running} calls ran on after the drop, {more} more were made"),
    )
}
