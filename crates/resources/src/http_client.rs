//! One client for each service that is called, with a limit at every level.
//!
//! The client owns the connections: one that is made for a call opens a connection for it, and closes it. `reqwest` has no
//! time limit unless it is given one, takes a status such as 500 for an answer, and reads a body into memory whatever its
//! size. [`HttpClient`] is a `reqwest::Client` with each of these decided, and a bound on how many requests are in flight.

mod error;
mod response;

pub use error::{HttpError, Limit};
pub use response::Response;

use reqwest::{
    ClientBuilder, Method, RequestBuilder, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use response::Until;
use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task_local,
    time::{Instant, timeout},
};

/// What stands for no limit: clocks overflow with more than they can tell. 68 years.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

task_local! {
    /// Whether the request that is sent may be followed: the policy belongs to the client, and sees no method.
    static FOLLOWS: bool;
}

/// How long each part of a request may take, and how much of everything there may be.
///
/// There is no default: what a service may take is known to who calls it. All of it is decided for the client; a single
/// request may ask for less time with `RequestBuilder::timeout`, and not for more.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written as a literal: whoever adds a limit wants to see who lacks it"
)]
pub struct Limits {
    /// For a connection: name, TCP and TLS. Short: a connection that takes a second takes a retransmission.
    pub connect: Duration,
    /// How long nothing may come: until the head of the answer, upload and connection included, and then between two pieces
    /// of the body. It finds a server that has died in the middle long before `total` does.
    pub silence: Duration,
    /// For all of it: the wait for a place, redirects, and the body to its end. It finds the server that trickles.
    pub total: Duration,
    /// How long a connection that nobody uses is kept. Shorter than the server keeps it: a connection that the server
    /// closes just then costs a POST an error of which nobody knows what it means.
    pub idle: Duration,
    /// Requests in flight at once, from the send to the end of the body. To a server that speaks HTTP/1 there are as many
    /// connections; now and then one more for a moment, when a call begins while a connection is on its way back. With
    /// `body_bytes` it bounds the memory that answers take.
    pub in_flight: NonZeroUsize,
    /// How long a request waits for a place before it is turned away. With none, a slow server makes a queue without end
    /// of its callers, each with what it holds.
    pub wait: Duration,
    /// The largest body that is taken, in bytes, after decompression.
    pub body_bytes: usize,
    /// How many redirects of a GET or HEAD are followed, and only on the service's own origin: another one was not asked
    /// for, and may be one that only this process can reach. Any other redirect is an answer with its status, and so an
    /// error. What a POST has done is done by then: the error of a later request is none of its own.
    pub redirects: usize,
}

/// A client for one service. Make it once, where the program starts, and give clones to who calls.
///
/// Clones share connections and places. Take a `reqwest::Client` itself for what has no end or no size, such as a stream of
/// events or a download to disk; take its limits from here.
///
/// # Source
/// httpx, whose `Limits` and `Timeout` have these levels; Finagle and Envoy, whose circuit breakers bound the requests in
/// flight and the queue before them.
///
/// # Examples
/// ```
/// use common::upstream::{Response, Upstream};
/// use resources::{HttpClient, http_client::{HttpError, Limits}};
/// use std::{num::NonZeroUsize, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let upstream = Upstream::start([
///     ("/items/7", Response::new(200, r#"{"name":"lamp"}"#)),
///     ("/items/8", Response::new(503, "out of order").header("retry-after", 2)),
/// ]).await?;
///
/// let limits = Limits {
///     connect: Duration::from_secs(1),
///     silence: Duration::from_secs(2),
///     total: Duration::from_secs(5),
///     idle: Duration::from_secs(30),
///     in_flight: NonZeroUsize::new(20).expect("twenty is not zero"),
///     wait: Duration::from_millis(100),
///     body_bytes: 1 << 20,
///     redirects: 3,
/// };
/// let client = HttpClient::new(&upstream.url(""), limits)?;
///
/// #[derive(serde::Deserialize)]
/// struct Item { name: String }
/// let item: Item = client.send(client.get("/items/7")).await?.json().await?;
/// assert_eq!(item.name, "lamp");
///
/// let error = client.send(client.get("/items/8")).await.unwrap_err();
/// assert_eq!(error.to_string(), r#"the answer is 503 Service Unavailable: "out of order""#);
/// assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
/// assert_eq!(upstream.connections(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    /// Without a slash at its end.
    base: Arc<str>,
    limits: Arc<Limits>,
    /// A permit is a request in flight.
    places: Arc<Semaphore>,
}

impl HttpClient {
    /// A client for the service at `base`, such as `http://prices.internal/v1`.
    ///
    /// # Errors
    /// [`HttpError::Request`], if `base` is no URL with a host, and [`HttpError::Base`], if there is more
    /// behind its path.
    pub fn new(base: &str, limits: Limits) -> Result<Self, HttpError> {
        Self::with(ClientBuilder::new(), base, limits)
    }

    /// The same, made of a builder with certificates, a proxy, default headers. Its time limits, its pool and its redirect
    /// policy are those of `limits`, whatever it says of them.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the builder has no client to give.
    pub fn with(builder: ClientBuilder, base: &str, mut limits: Limits) -> Result<Self, HttpError> {
        for limit in
            [&mut limits.connect, &mut limits.silence, &mut limits.total, &mut limits.idle, &mut limits.wait]
        {
            *limit = LONGEST.min(*limit);
        }
        // ANCHOR: with
        let client = builder
            .connect_timeout(limits.connect)
            .read_timeout(limits.silence)
            .pool_idle_timeout(limits.idle)
            .pool_max_idle_per_host(limits.in_flight.get())
            .redirect(on_the_same_origin(limits.redirects))
            .build()
            .map_err(HttpError::request)?;
        // ANCHOR_END: with
        // Parsed by the client: what is no URL is found out now, and not at the first call.
        let probe = client.get(base).build().map_err(HttpError::request)?;
        if probe.url().query().is_some() || probe.url().fragment().is_some() {
            return Err(HttpError::Base);
        }
        let base = base.trim_end_matches('/').into();
        let places = Semaphore::new(limits.in_flight.get().min(Semaphore::MAX_PERMITS));
        Ok(Self { client, base, limits: Arc::new(limits), places: Arc::new(places) })
    }

    /// A GET request. What else it is to have, reqwest's builder gives it.
    #[must_use = "it is sent by `send`"]
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A POST request.
    #[must_use = "it is sent by `send`"]
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A request for `path`, query included, beneath the base. Wherever `path` comes from, the host is that of the base; but
    /// it is taken as it is, so encode what is not yours, and refuse `..` in it.
    #[must_use = "it is sent by `send`"]
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/{}", self.base, path.trim_start_matches('/')))
    }

    /// Sends a request, once, and gives the answer if its status is one of success.
    ///
    /// # Shape
    /// Waits for a place first, in turn; the place is the answer's until its body was read, or it is dropped. Nothing is sent
    /// twice but what the server has certainly not seen: hyper and reqwest repeat a request that met a kept connection which
    /// was closed before it was written to, or that HTTP/2 gives back unprocessed.
    ///
    /// # Errors
    /// [`HttpError`], which says whether anything was sent. Of the body of an answer with another status it has a piece; the
    /// rest is read as long as it is small, which keeps the connection, and is closed with it otherwise.
    ///
    /// # Cancel safety
    /// The place is free at once. Before the request was sent, nothing happens. From then on HTTP/1 has no way to take it back
    /// but to close the connection, which is done: a server that looks sees it, one that does not works on to the end. Whether
    /// what was asked for was done, nobody knows. With HTTP/2, the stream is reset, and the connection stays.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, HttpError> {
        // ANCHOR: send
        let mut request = request.build().map_err(HttpError::request)?;
        let total = request.timeout().map_or(self.limits.total, |asked| self.limits.total.min(*asked));
        let begun = Instant::now();
        let wait = self.limits.wait.min(total);
        // The semaphore is never closed: it is the time that ends the wait.
        let Ok(Ok(place)) = timeout(wait, self.places.clone().acquire_owned()).await else {
            return Err(HttpError::Busy { in_flight: self.limits.in_flight, waited: wait });
        };
        // What the wait has left is for the request and its body.
        *request.timeout_mut() = Some(total.saturating_sub(begun.elapsed()));
        let until = Until { begun, total, limits: self.limits.clone() };
        let follows = matches!(*request.method(), Method::GET | Method::HEAD);
        let answer = FOLLOWS.scope(follows, self.client.execute(request)).await;
        let answer = answer.map_err(|error| until.told(error))?;
        let answer = Response::new(answer, until, place);
        if answer.status().is_success() { Ok(answer) } else { Err(answer.refused().await) }
        // ANCHOR_END: send
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the base: it may have a password.
        f.debug_struct("HttpClient")
            .field("free", &self.places.available_permits())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Follows so many; any other is an answer with a status of its own.
fn on_the_same_origin(redirects: usize) -> Policy {
    Policy::custom(move |attempt| {
        let origin = attempt.previous().first().map(Url::origin);
        let same = origin.is_some_and(|origin| origin == attempt.url().origin());
        let follows = FOLLOWS.try_with(|follows| *follows).unwrap_or(false);
        if follows && same && attempt.previous().len() <= redirects {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// `Retry-After` in seconds. A date, which may stand there as well, is left out: the clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
