use std::{convert::Infallible, time::Duration};

/// What can be done about an error: the one classification that [`partial`](mod@crate::partial) and
/// [`retry`](mod@crate::retry) share.
///
/// Implement it for the error type of a backend, beside that type: whoever calls should not have to read a status code.
///
/// # Examples
/// ```
/// use concurrency::Retryable;
///
/// enum PriceError {
///     Overloaded,
///     NoSuchItem,
/// }
///
/// impl Retryable for PriceError {
///     fn is_retryable(&self) -> bool {
///         matches!(self, Self::Overloaded)
///     }
/// }
/// assert!(PriceError::Overloaded.is_retryable() && !PriceError::NoSuchItem.is_retryable());
/// ```
// ANCHOR: retryable
pub trait Retryable {
    /// Whether the same question may get an answer when it is asked again: the error is of the moment (no connection,
    /// a timeout, 429, 503), not of the question (400, 404, a body that is no item).
    fn is_retryable(&self) -> bool;

    /// Whether it is certain that what was asked for was not done: the connection was refused, the request was turned
    /// away unread. A timeout or a broken connection leaves that open.
    fn had_no_effect(&self) -> bool {
        false
    }

    /// How long the other side asked us to wait, if it did: `Retry-After` of a 429 or a 503.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
// ANCHOR_END: retryable

impl Retryable for Infallible {
    fn is_retryable(&self) -> bool {
        match *self {}
    }
}
