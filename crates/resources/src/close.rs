use futures_util::FutureExt as _;
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tokio::time::timeout;

/// Why closing something did not end well. It is out of our hands all the same: it is not closed a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError<E> {
    /// It gave an error.
    #[error("it could not be closed: {0}")]
    Failed(#[source] E),
    /// It panicked.
    #[error("closing it panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// It had not ended within its limit, and was dropped.
    #[error("it was not closed within {limit:?}")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

/// Waits for `closing` no longer than `limit`; a panic comes back as an error, also that of a destructor when `closing` is
/// dropped at its limit.
///
/// # Cancel safety
/// As cancel safe as `closing`.
pub(crate) async fn close_within<E>(
    limit: Duration,
    closing: impl Future<Output = Result<(), E>>,
) -> Result<(), CloseError<E>> {
    // In the block, the timeout and what it waits for are dropped before the catch is over.
    match AssertUnwindSafe(async { timeout(limit, closing).await }).catch_unwind().await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(CloseError::Failed(error)),
        Ok(Err(_elapsed)) => Err(CloseError::TimedOut { limit }),
        Err(payload) => Err(CloseError::Panicked { message: panic_message(payload) }),
    }
}

/// What a panic said, or a stand-in if its payload is no text. The payload is dropped here, and if that panics, too, nobody
/// hears of it: there is nobody left to whom it would mean something.
pub(crate) fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (_, Some(message)) => message.clone(),
        _ => String::from("a panic without a message"),
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its destructor may be as bad.
        mem::forget(another);
    }
    message
}
