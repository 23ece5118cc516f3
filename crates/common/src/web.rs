//! A website in memory and a client for it: statuses, bodies, broken connections, and what the site has done for whom.
//!
//! What a real client does not do, this one does not either: a status such as 500 is a response, a body is text, and
//! whoever makes a client for each call pays for it with a connection each.

use crate::{
    Recorder,
    backend::{Call, CallEnd},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// A site that answers each id as its script says, and keeps a ledger of every request.
///
/// Clones are handles to the same site. Each request is a lane of the recorder.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, web::{Answer, Client, Site}};
/// use std::time::Duration;
///
/// clock::paused(async {
///     let site = Site::new(&Recorder::new("a busy site"))
///         .on(7, [Answer::status(503).retry_after(Duration::from_secs(1)), Answer::page("lamp")]);
///     let client = Client::new(&site);
///     assert_eq!(client.get(7).await?.status, 503);
///     assert_eq!(client.get(7).await?.body, "lamp");
///     assert_eq!((site.clients(), site.requests().len()), (1, 2));
/// # Ok::<(), common::web::NetworkError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Site {
    shared: Arc<Mutex<State>>,
    recorder: Recorder,
}

#[derive(Default)]
struct State {
    script: HashMap<u32, VecDeque<Answer>>,
    requests: Vec<Request>,
    clients: usize,
    in_flight: usize,
    peak: usize,
    orders: HashMap<u32, usize>,
    keys: HashSet<String>,
}

/// What the site does with a request: answers after 10 ms, unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    after: Duration,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Response(Response),
    Network(NetworkError),
    Panic,
    Hang,
}

/// An answer of the site, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status: 200 and a few above are a success, 503 is none.
    pub status: u16,
    /// The content.
    pub body: String,
    /// How long to wait before the next request, if the site says so: its header `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkError {
    /// There was no connection: the site has not seen the request.
    Refused,
    /// The connection broke before the response. Nobody knows what the site has done.
    Reset,
    /// The client's own time limit passed. Nobody knows what the site has done.
    TimedOut,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::TimedOut => "the client timed out",
        })
    }
}

impl std::error::Error for NetworkError {}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads; asking twice is asking once.
    Get,
    /// Orders; asking twice orders twice, unless both requests have the same idempotency key.
    Post,
}

/// One request, as the site saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asked for.
    pub method: Method,
    /// Its idempotency key.
    pub key: Option<String>,
    /// For what, when, and how it ended. A response is a reply, whatever its status.
    pub call: Call,
}

impl Answer {
    /// A response with this status and no content.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::ending(End::Response(Response { status, body: String::new(), retry_after: None }))
    }

    /// A page: status 200, with this body.
    #[must_use]
    pub fn page(body: impl Into<String>) -> Self {
        Self::ending(End::Response(Response { status: 200, body: body.into(), retry_after: None }))
    }

    /// With this body: an error page has one, too. Only responses have bodies.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        if let End::Response(response) = &mut self.end {
            response.body = body.into();
        }
        self
    }

    /// No response, for this reason.
    #[must_use]
    pub const fn broken(error: NetworkError) -> Self {
        Self::ending(End::Network(error))
    }

    /// No response, ever.
    #[must_use]
    pub const fn hang() -> Self {
        Self::ending(End::Hang)
    }

    /// A panic in the client's code.
    #[must_use]
    pub const fn panic() -> Self {
        Self::ending(End::Panic)
    }

    /// How long it takes.
    #[must_use]
    pub const fn after(mut self, latency: Duration) -> Self {
        self.after = latency;
        self
    }

    /// With a header `Retry-After`. Only responses have headers.
    #[must_use]
    pub const fn retry_after(mut self, pause: Duration) -> Self {
        if let End::Response(response) = &mut self.end {
            response.retry_after = Some(pause);
        }
        self
    }

    const fn ending(end: End) -> Self {
        Self { after: Duration::from_millis(10), end }
    }

    /// What the site has done, as opposed to what the client hears of it.
    const fn is_carried_out(&self) -> bool {
        match &self.end {
            End::Response(response) => response.is_success(),
            End::Network(NetworkError::Refused) | End::Panic => false,
            End::Network(_) | End::Hang => true,
        }
    }
}

impl Response {
    /// Whether the status is one of success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl Site {
    /// A site that answers each id with the page `item 7`, or whichever it is.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { shared: Arc::default(), recorder: recorder.clone() }
    }

    /// Scripts the requests for `id`: the first is answered with the first of these, and so on; the last one stays.
    #[must_use = "the script is set in place; bind or chain what is returned"]
    pub fn on(self, id: u32, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.lock().script.insert(id, answers.into_iter().collect());
        self
    }

    /// How many clients were made for it.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.lock().clients
    }

    /// Every request so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// The calls of these requests.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().requests.iter().map(|request| request.call.clone()).collect()
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// The largest number of requests that were in flight at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// How often `id` was ordered: the site has carried out a POST, whatever the client has heard of it. Two with the
    /// same key are one.
    #[must_use]
    pub fn orders(&self, id: u32) -> usize {
        self.lock().orders.get(&id).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({} requests)", self.lock().requests.len())
    }
}

/// A client of a site. Make one, and clone it: clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    site: Site,
}

impl Client {
    /// A new client, with connections of its own.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        site.lock().clients += 1;
        Self { site: site.clone() }
    }

    /// Asks for one item. Nothing happens until the future is polled; it owns what it needs, so it can be spawned.
    ///
    /// # Errors
    /// [`NetworkError`], if there is no response. A status that is no success is a response.
    ///
    /// # Cancel safety
    /// The request is then in the ledger as [`CallEnd::Dropped`].
    pub fn get(&self, id: u32) -> impl Future<Output = Result<Response, NetworkError>> + Send + use<> {
        self.clone().send(Method::Get, id, None)
    }

    /// Orders one item; of all orders with the same key, the site carries out one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// As [`get`](Self::get). Whether the site carries out what it was asked for, nobody knows.
    pub fn post(
        &self,
        id: u32,
        key: Option<&str>,
    ) -> impl Future<Output = Result<Response, NetworkError>> + Send + use<> {
        self.clone().send(Method::Post, id, key.map(str::to_owned))
    }

    async fn send(self, method: Method, id: u32, key: Option<String>) -> Result<Response, NetworkError> {
        let verb = if method == Method::Get { "GET" } else { "POST" };
        // A lane that ends well tells of a success; the caller gets every response.
        let mut refused = None;
        let lane = async {
            match self.site.answer(method, id, key).await {
                Ok(response) if response.is_success() => Ok(response),
                Ok(response) => {
                    let told = format!("status {}", response.status);
                    refused = Some(Ok(response));
                    Err(told)
                }
                Err(error) => {
                    refused = Some(Err(error));
                    Err(error.to_string())
                }
            }
        };
        let ended = self.site.recorder.try_lane(format!("{verb} {id}"), lane).await;
        refused.unwrap_or_else(|| ended.map_err(|_| NetworkError::Reset))
    }
}

impl Site {
    async fn answer(&self, method: Method, id: u32, key: Option<String>) -> Result<Response, NetworkError> {
        let answer = {
            let mut state = self.lock();
            let answer = match state.script.get_mut(&id) {
                Some(answers) if answers.len() > 1 => answers.pop_front(),
                Some(answers) => answers.front().cloned(),
                None => None,
            };
            let answer = answer.unwrap_or_else(|| Answer::page(format!("item {id}")));
            let known = key.as_ref().is_some_and(|key| state.keys.contains(key));
            if method == Method::Post && answer.is_carried_out() && !known {
                state.keys.extend(key.clone());
                *state.orders.entry(id).or_default() += 1;
            }
            answer
        };
        let mut entry = Entry::new(self, method, id, key);
        sleep(answer.after).await;
        match answer.end {
            End::Response(response) => {
                entry.end = CallEnd::Replied;
                Ok(response)
            }
            End::Network(error) => {
                entry.end = CallEnd::Failed;
                Err(error)
            }
            End::Hang => pending().await,
            End::Panic => {
                entry.end = CallEnd::Panicked;
                // Not `panic!`: a scripted panic is part of the case and has no business on the learner's screen.
                std::panic::resume_unwind(Box::new(format!("item {id} is cursed")))
            }
        }
    }
}

/// A request's line in the ledger, closed on drop, whatever the way out.
struct Entry<'a> {
    site: &'a Site,
    index: usize,
    end: CallEnd,
}

impl<'a> Entry<'a> {
    fn new(site: &'a Site, method: Method, id: u32, key: Option<String>) -> Self {
        let mut state = site.lock();
        let call = Call { id, started: site.recorder.now(), ended: None };
        state.requests.push(Request { method, key, call });
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        Self { site, index: state.requests.len() - 1, end: CallEnd::Dropped }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let now = self.site.recorder.now();
        let mut state = self.site.lock();
        state.in_flight -= 1;
        let index = self.index;
        state.requests[index].call.ended = Some((now, self.end));
    }
}
