use std::{
    any::Any,
    borrow::Cow,
    fmt,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
};

/// How one item ended: the typed counterpart of what `asyncio.gather(..., return_exceptions=True)` mixes into its list.
///
/// # Source
/// `Promise.allSettled` in ECMAScript 2020 has the first two; tasks that can panic and be cancelled need four.
// ANCHOR: settled
#[derive(Debug)]
#[must_use = "an outcome that nobody looks at is a swallowed error"]
pub enum Settled<T, E> {
    /// It gave a value.
    Ok(T),
    /// It gave an error.
    Failed(E),
    /// It panicked; the other items did not notice.
    Panicked(Panic),
    /// It was cancelled before it had ended, or before it had begun.
    Cancelled,
}
// ANCHOR_END: settled

impl<T, E> Settled<T, E> {
    /// The value, if there is one.
    #[must_use]
    pub fn ok(self) -> Option<T> {
        match self {
            Self::Ok(value) => Some(value),
            _ => None,
        }
    }

    /// Whether there is a value.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// What a task panicked with.
///
/// # Examples
/// ```
/// use concurrency::Panic;
///
/// let payload = std::panic::catch_unwind(|| panic!("row 7 has no price")).unwrap_err();
/// let panic = Panic::new(payload);
/// assert_eq!(panic.message(), "row 7 has no price");
/// ```
pub struct Panic {
    message: Cow<'static, str>,
    // Behind a lock that is never taken: so an error that holds a panic is `Sync`, as `Box<dyn Error + Send + Sync>` asks.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    /// Wraps the payload that `catch_unwind` or a `JoinError` gave.
    #[must_use]
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
            (Some(message), _) => Cow::Borrowed(*message),
            (_, Some(message)) => Cow::Owned(message.clone()),
            _ => Cow::Borrowed("a panic without a message"),
        };
        Self { message, payload: Mutex::new(payload) }
    }

    /// What the panic said, or a stand-in if its payload is no text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Goes on with the panic in the caller, without printing it a second time.
    ///
    /// # Panics
    /// Always: that is what it is for.
    pub fn resume(self) -> ! {
        resume_unwind(self.payload.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}
