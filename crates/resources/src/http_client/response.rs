use super::{HttpError, Limit, Limits, retry_after};
use reqwest::{StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// How much of an error's body is shown.
const EXCERPT_BYTES: usize = 1 << 10;
/// How much of an error's body is read for the sake of the connection: what costs less than a new one.
const DRAIN_BYTES: usize = 64 << 10;

/// An answer with a status of success, whose body is still to be read.
///
/// # Cancel safety
/// Dropped before the end of its body, it gives its place back and its connection up: HTTP/1 has no other way to be spared
/// the rest. A body that came along with the head is the exception. [`drain`](Self::drain) reads what nobody wants, and so
/// keeps the connection.
#[must_use = "dropped unread, its connection is closed: read it, or `drain` it"]
pub struct Response {
    answer: reqwest::Response,
    until: Until,
    /// How many bytes of the body have come.
    taken: usize,
    /// It is in flight as long as its body is.
    _place: OwnedSemaphorePermit,
}

impl Response {
    pub(super) fn new(answer: reqwest::Response, until: Until, place: OwnedSemaphorePermit) -> Self {
        Self { answer, until, taken: 0, _place: place }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// The body.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`], before anything is read if the server says how large it is; and where the body can't be had
    /// to its end.
    ///
    /// # Cancel safety
    /// What was read is gone, the place is free, the connection is closed.
    pub async fn bytes(mut self) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(self.until.limits.body_bytes).await? {
            bytes.extend_from_slice(piece.as_ref());
        }
        Ok(bytes)
    }

    /// The body, decoded from JSON, whatever the server says that it is.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`HttpError::Decode`].
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.bytes().await?).map_err(HttpError::Decode)
    }

    /// Reads the body to its end and forgets it, so that the connection is kept.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); then the connection is closed. That the request was carried out, its status has said.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn drain(mut self) -> Result<(), HttpError> {
        while self.piece(self.until.limits.body_bytes).await?.is_some() {}
        Ok(())
    }

    /// The next piece; none at the end. More than `limit` bytes in all are not taken.
    async fn piece(&mut self, limit: usize) -> Result<Option<impl AsRef<[u8]> + use<>>, HttpError> {
        // ANCHOR: piece
        let announced = self.answer.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(HttpError::TooLarge { limit });
        }
        let piece = self.answer.chunk().await.map_err(|error| self.until.told(error))?;
        self.taken = self.taken.saturating_add(piece.as_ref().map_or(0, |piece| piece.len()));
        if self.taken > limit { Err(HttpError::TooLarge { limit }) } else { Ok(piece) }
        // ANCHOR_END: piece
    }

    /// The error that an answer with another status is.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub(super) async fn refused(mut self) -> HttpError {
        let (status, retry_after) = (self.status(), retry_after(self.headers()));
        let mut excerpt = Vec::new();
        // Whatever happens to the body, the status is known: it is what is told.
        while let Ok(Some(piece)) = self.piece(DRAIN_BYTES).await {
            let room = EXCERPT_BYTES - excerpt.len();
            excerpt.extend(piece.as_ref().iter().take(room));
        }
        HttpError::Status { status, excerpt: String::from_utf8_lossy(&excerpt).into_owned(), retry_after }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither its URL nor its headers: they may have a key, or a cookie.
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

/// Until when a request has time.
pub(super) struct Until {
    pub(super) begun: Instant,
    pub(super) total: Duration,
    pub(super) limits: Arc<Limits>,
}

impl Until {
    /// What an error of reqwest means.
    pub(super) fn told(&self, error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        let (connect, timeout) = (error.is_connect(), error.is_timeout());
        let timed_out = |limit, after| HttpError::TimedOut { limit, after };
        match (connect, timeout) {
            (true, true) => timed_out(Limit::Connect, self.limits.connect),
            (true, false) => HttpError::Connect(error),
            // Both timers give the same error; of the two, this one is due or it is not.
            (false, true) if self.begun.elapsed() >= self.total => timed_out(Limit::Total, self.total),
            (false, true) => timed_out(Limit::Silence, self.limits.silence),
            (false, false) if error.is_builder() => HttpError::Request(error),
            (false, false) => HttpError::Broken(error),
        }
    }
}
