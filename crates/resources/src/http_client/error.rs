use reqwest::StatusCode;
use std::{num::NonZeroUsize, time::Duration};

/// Why there is no answer that could be used. URLs and headers, which may hold secrets, are in none of them; what the other
/// side said is, in [`Status`](Self::Status): for a log, not for one's own clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// It is no request: its URL, a header or its body can't be sent. Nothing was; mend the caller.
    #[error("the request can't be made: {0}")]
    Request(#[source] reqwest::Error),
    /// Paths can't be put behind a base that has a query or a fragment. Nothing was sent; mend the configuration.
    #[error("the base is to end with its path: it has a query or a fragment")]
    Base,
    /// There was no place in time. Nothing was sent: shed the load, or come back later.
    #[error("{in_flight} requests are in flight, and none ended within {waited:?}")]
    Busy {
        /// How many may be.
        in_flight: NonZeroUsize,
        /// How long a place was waited for.
        waited: Duration,
    },
    /// There was no connection. Nothing was sent.
    #[error("there is no connection: {0}")]
    Connect(#[source] reqwest::Error),
    /// A time limit passed. Unless it was that of the connection, nobody knows what the server has done, or still does.
    #[error("{limit} passed after {after:?}")]
    TimedOut {
        /// Which.
        limit: Limit,
        /// How long it is.
        after: Duration,
    },
    /// The connection broke before the answer, or in it. Nobody knows what the server has done.
    #[error("the connection broke: {0}")]
    Broken(#[source] reqwest::Error),
    /// The server gave an answer, and its status is none of success. A redirect that was not followed is one of them.
    #[error("the answer is {status}: {excerpt:?}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The beginning of the body, a kilobyte at most, or what had come of it.
        excerpt: String,
        /// How long the server asks to wait, if it does, in seconds: `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The body is larger than what is taken. The request was carried out; asked again, it will be as large.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// How many bytes are taken.
        limit: usize,
    },
    /// The body is not what it should be. The request was carried out; asked again, it will be the same.
    #[error("the body is not what it should be: {0}")]
    Decode(#[source] serde_json::Error),
}

/// Which time limit passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// That of the connection: nothing was sent.
    #[error("the limit of the connection")]
    Connect,
    /// That of silence: nothing came for so long.
    #[error("the limit of silence")]
    Silence,
    /// That of all.
    #[error("the limit of the whole request")]
    Total,
}

impl HttpError {
    /// What can't be sent. The URL goes: its query may hold a key.
    pub(super) fn request(error: reqwest::Error) -> Self {
        Self::Request(error.without_url())
    }

    /// Whether the same request may get an answer when it is sent again: the trouble is of the moment, not of the request.
    /// Whether it *may* be sent again is another question: [`had_no_effect`](Self::had_no_effect), or it is idempotent.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Connect(_) | Self::TimedOut { .. } | Self::Broken(_) => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500 | 502..=504),
            Self::Request(_) | Self::Base | Self::TooLarge { .. } | Self::Decode(_) => false,
        }
    }

    /// Whether it is certain that the server has not done what it was asked for. 503 is not: a proxy that says it may have
    /// handed the request on.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        match self {
            Self::Request(_) | Self::Base | Self::Busy { .. } | Self::Connect(_) => true,
            Self::TimedOut { limit, .. } => *limit == Limit::Connect,
            Self::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Broken(_) | Self::TooLarge { .. } | Self::Decode(_) => false,
        }
    }

    /// How long the server asks to wait, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status, if there was an answer with one that is none of success.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}
