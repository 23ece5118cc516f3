use futures_util::FutureExt as _;
use std::{any::Any, panic::AssertUnwindSafe, time::Duration};
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

/// Waits for `closing` no longer than `limit`; a panic comes back as an error.
///
/// # Cancel safety
/// As cancel safe as `closing`.
pub(crate) async fn close_within<E>(
    limit: Duration,
    closing: impl Future<Output = Result<(), E>>,
) -> Result<(), CloseError<E>> {
    match timeout(limit, AssertUnwindSafe(closing).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(CloseError::Failed(error)),
        Ok(Err(payload)) => Err(CloseError::Panicked { message: panic_message(&*payload) }),
        Err(_elapsed) => Err(CloseError::TimedOut { limit }),
    }
}

/// What a panic said, or a stand-in if its payload is no text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (_, Some(message)) => message.clone(),
        _ => String::from("a panic without a message"),
    }
}
