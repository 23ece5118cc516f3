//! Several things at once, without losing one.
//!
//! Many of the same:
//!
//! | pattern | for | when one fails | what comes back |
//! |---|---|---|---|
//! | [`mod@gather`] | each on its own, and all are there | the others go on | one [`Settled`] an item, in input order |
//! | [`bounded`] | from a source without end, or for a slow reader | the others go on | a stream of [`Settled`] |
//! | [`mod@partial`] | a part of them is of use | the others go on, or no more are begun | a [`partial::Report`]: values and failures by key |
//! | [`mod@queue`] | they come from elsewhere, faster than they are done | as asked: skip, retry or stop | each accepted item once, as [`queue::Ended`] |
//!
//! A few that differ:
//!
//! | pattern | for | when one fails | what comes back |
//! |---|---|---|---|
//! | [`mod@join`] | in one task, and they may borrow | the others go on to their end | every value, or every error |
//! | [`mod@task_group`] | parts of one whole, pointless without each other | the others are aborted, and waited for | the body's value; each child's through its [`Child`] |
//! | [`first`] | any one of the answers will do | the others go on | the first value, or every error in input order |
//!
//! One call:
//!
//! | pattern | for | when it fails | what comes back |
//! |---|---|---|---|
//! | [`mod@timeout`] | an answer that is of no use after a moment | its error comes back as it is | the value, or [`TimedOut`]: whose limit fired |
//! | [`mod@retry`] | an error that may pass | it is asked again, within a deadline and a budget | the value, or [`RetryError`]: every attempt |
//! | [`blocking`] | calls that keep their thread: drivers, files, computing | a panic comes back as an error | the value, or [`BlockingError`]: busy, with how many run and wait |
//! | [`rate_limit`] | a quota: so many a second, and so many at once | its place is free again, what it spent is spent | a [`Permit`] to make one request |
//!
//! What goes on:
//!
//! | pattern | for | when it fails | what comes back |
//! |---|---|---|---|
//! | [`background`] | work that outlives the request that began it | the sink is told, and it is restarted if it has to be | [`background::Report`]: how each ended |
//! | [`mod@cancel`] | work that is stopped from outside: a client that leaves, a shutdown | its error comes back, or is told where nobody waits | what had begun is finished; [`Scope::close`] says what was not |
//! | [`mod@select`] | a task that is asked, ticks, and is told to stop | nothing is dropped half way | one [`Event`] after another |
//!
//! What is shared:
//!
//! | pattern | for | when a caller is dropped | what comes back |
//! |---|---|---|---|
//! | [`mod@shared_state`] | what several tasks change, with an await in the middle | nothing is changed, or all of it | what the change gives |
//! | [`deadlock`] | several locks at once, and the four deadlocks by name | no lock is kept | the guards, in the order of the locks |
//!
//! Each pattern is one file, or one with a folder, that can be read, or copied, on its own; [`Settled`], [`Panic`],
//! [`Retryable`] and an owned task are what they share.

mod retryable;
mod settled;
mod task;

pub mod background;
pub mod blocking;
pub mod bounded;
pub mod cancel;
pub mod deadlock;
pub mod first;
pub mod gather;
pub mod join;
pub mod partial;
pub mod queue;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
pub mod retry;
pub mod select;
pub mod shared_state;
pub mod task_group;
pub mod timeout;

// What several patterns have under one name, such as a report, stays in its module.
pub use background::{Spawner, Supervisor};
pub use blocking::{BlockingError, Bulkhead, Load, StillRunning};
pub use cancel::Scope;
pub use deadlock::{lock_all, lock_both};
pub use first::{First, FirstError};
pub use gather::{gather, gather_until};
pub use join::JoinErrors;
pub use partial::{GiveUp, partial, partial_until};
pub use queue::{Queue, Workers, queue};
#[cfg(feature = "rate-limit")]
pub use rate_limit::{PerKey, Permit, Rate, RateLimit};
pub use retry::{Attempt, AttemptError, FailedAttempt, GaveUp, Idempotency, Retry, RetryBudget, RetryError};
pub use retryable::Retryable;
pub use select::{Event, Events};
pub use settled::{Panic, Settled};
pub use shared_state::{Committed, Owned, Owner};
pub use task_group::{Child, GroupClosed, GroupError, Stopped, TaskGroup, task_group};
pub use timeout::{Deadline, TimedOut};
