//! HTTP in memory: a host, and a client whose connections are counted.
//!
//! It keeps to what reqwest does over HTTP/1: a client owns its connections, a connection carries one request at a time, and
//! it is kept only if the body was read to its end. There is no time limit, a status such as 500 is a response, and a body
//! has no size that anybody looks at.

use crate::{Recorder, web::NetworkError};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How long it takes to open a connection.
pub const CONNECT: Duration = Duration::from_millis(20);

/// A host that answers each path as its script says, and 404 to any other. Clones are handles to the same host.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, http::{Client, Host, Page}};
/// use std::time::Duration;
///
/// clock::paused(async {
///     let host = Host::new(&Recorder::new("two requests"))
///         .on("/items/7", [Page::new(200, "lamp").in_pieces(2, Duration::from_millis(5))]);
///     let client = Client::new(&host);
///     assert_eq!(client.get("/items/7").await?.text().await?, "lamp");
///     assert_eq!(client.get("/items/8").await?.status(), 404);
///     assert_eq!((host.connections(), host.requests().len()), (1, 2));
/// # Ok::<(), common::web::NetworkError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Host {
    shared: Arc<Mutex<State>>,
    recorder: Recorder,
}

#[derive(Default)]
struct State {
    script: HashMap<String, VecDeque<Page>>,
    connections: usize,
    open: usize,
    requests: Vec<Request>,
    in_flight: usize,
    peak: usize,
    taken: usize,
}

/// A request, as the host saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method and path, such as `GET /items/7`.
    pub line: String,
    /// When it came, counted from the recorder's start.
    pub at: Duration,
    /// When its body was read to the end, or it was given up; nothing while it is in flight.
    pub ended: Option<Duration>,
}

/// What the host answers: a status and a body, after 10 ms, unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    status: u16,
    pieces: Vec<String>,
    told: Option<usize>,
    after: Duration,
    pause: Duration,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Hangs,
    Stalls,
    Resets,
    Breaks,
}

impl Page {
    /// A page that comes in one piece, with its head.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self {
            status,
            told: Some(body.len()),
            pieces: vec![body],
            after: Duration::from_millis(10),
            pause: Duration::ZERO,
            fault: None,
        }
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// How long it takes until the head is there.
    #[must_use]
    pub const fn after(mut self, latency: Duration) -> Self {
        self.after = latency;
        self
    }

    /// In so many pieces of about the same size, with a pause before each.
    #[must_use]
    pub fn in_pieces(mut self, pieces: usize, pause: Duration) -> Self {
        let body: Vec<char> = self.pieces.concat().chars().collect();
        let size = body.len().div_ceil(pieces.max(1)).max(1);
        self.pieces = body.chunks(size).map(|piece| piece.iter().collect()).collect();
        self.pause = pause;
        self
    }

    /// Without a `Content-Length`.
    #[must_use]
    pub const fn of_untold_length(mut self) -> Self {
        self.told = None;
        self
    }

    /// There is no head, ever.
    #[must_use]
    pub const fn hangs(mut self) -> Self {
        self.fault = Some(Fault::Hangs);
        self
    }

    /// After half of the pieces nothing comes any more.
    #[must_use]
    pub const fn stalls(mut self) -> Self {
        self.fault = Some(Fault::Stalls);
        self
    }

    /// The connection breaks in place of the head.
    #[must_use]
    pub const fn resets(mut self) -> Self {
        self.fault = Some(Fault::Resets);
        self
    }

    /// The connection breaks after half of the pieces.
    #[must_use]
    pub const fn breaks(mut self) -> Self {
        self.fault = Some(Fault::Breaks);
        self
    }
}

impl Host {
    /// A host that has nothing but 404.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { shared: Arc::default(), recorder: recorder.clone() }
    }

    /// Scripts a path: the first request gets the first of these, and so on; the last one stays.
    #[must_use = "the script is set in place; bind or chain what is returned"]
    pub fn on(self, path: &str, pages: impl IntoIterator<Item = Page>) -> Self {
        self.lock().script.insert(path.to_owned(), pages.into_iter().collect());
        self
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// Every request so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// How many requests are in flight: sent, and their bodies not read to the end.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// The largest number of requests that were in flight at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// How many bytes of bodies were read so far.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().taken
    }

    fn page(&self, path: &str) -> Page {
        let mut state = self.lock();
        let page = match state.script.get_mut(path) {
            Some(pages) if pages.len() > 1 => pages.pop_front(),
            Some(pages) => pages.front().cloned(),
            None => None,
        };
        page.unwrap_or_else(|| Page::new(404, "no such page"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("requests", &self.lock().requests.len()).finish_non_exhaustive()
    }
}

/// A client of a host. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

/// Connections that nobody uses. They are closed with the last handle to the client.
#[derive(Debug)]
struct Pool {
    host: Host,
    idle: Mutex<usize>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, usize> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = *self.idle();
        self.host.lock().open -= idle;
    }
}

/// A connection in use.
struct Connection {
    pool: Arc<Pool>,
    /// What was sent was answered to the end: it can carry the next request.
    free: bool,
}

impl Connection {
    async fn of(pool: Arc<Pool>) -> Self {
        let kept = {
            let mut idle = pool.idle();
            let kept = *idle > 0;
            *idle -= usize::from(kept);
            kept
        };
        if !kept {
            let recorder = pool.host.recorder.clone();
            recorder.lane("connect", sleep(CONNECT)).await;
            let mut state = pool.host.lock();
            state.connections += 1;
            state.open += 1;
        }
        Self { pool, free: true }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.free {
            *self.pool.idle() += 1;
        } else {
            self.pool.host.lock().open -= 1;
        }
    }
}

impl Client {
    /// A client with connections of its own, of which there are none yet.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self { pool: Arc::new(Pool { host: host.clone(), idle: Mutex::new(0) }) }
    }

    /// Asks for a page. Nothing happens until the future is polled; it owns what it needs, so it can be spawned.
    ///
    /// # Errors
    /// [`NetworkError`], if there is no response. A status that is no success is a response.
    ///
    /// # Cancel safety
    /// The request is given up, and its connection closed.
    pub fn get(&self, path: &str) -> impl Future<Output = Result<Response, NetworkError>> + Send + use<> {
        send(self.pool.clone(), "GET", path.to_owned())
    }

    /// Orders something. Asking twice orders twice.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// As [`get`](Self::get). Whether the host carries out what it was asked for, nobody knows.
    pub fn post(&self, path: &str) -> impl Future<Output = Result<Response, NetworkError>> + Send + use<> {
        send(self.pool.clone(), "POST", path.to_owned())
    }
}

async fn send(pool: Arc<Pool>, method: &str, path: String) -> Result<Response, NetworkError> {
    let connection = Connection::of(pool).await;
    let recorder = connection.pool.host.recorder.clone();
    let line = format!("{method} {path}");
    let head = async {
        let page = connection.pool.host.page(&path);
        let mut response = Response::new(connection, &line, page);
        sleep(response.page.after).await;
        match response.page.fault {
            Some(Fault::Hangs) => pending().await,
            Some(Fault::Resets) => Err(NetworkError::Reset),
            _ => {
                // What comes with the head need not be read for the connection to be free.
                if response.page.pieces.len() <= 1 && response.page.fault.is_none() {
                    response.connection.free = true;
                }
                Ok(response)
            }
        }
    };
    recorder.try_lane(line.clone(), head).await
}

/// An answer of the host, whatever its status. Dropped before its body was read to the end, it closes its connection,
/// unless the body came with the head.
#[must_use = "dropped before its body was read to the end, it closes its connection"]
pub struct Response {
    connection: Connection,
    index: usize,
    page: Page,
    /// How many pieces were read.
    read: usize,
}

impl Response {
    fn new(mut connection: Connection, line: &str, page: Page) -> Self {
        connection.free = false;
        let host = &connection.pool.host;
        let (at, mut state) = (host.recorder.now(), host.lock());
        state.requests.push(Request { line: line.to_owned(), at, ended: None });
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        let index = state.requests.len() - 1;
        drop(state);
        Self { connection, index, page, read: 0 }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.page.status
    }

    /// Whether the status is one of success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.page.status, 200..=299)
    }

    /// How many bytes the body has, if the host says so: its header `Content-Length`.
    #[must_use]
    pub const fn content_length(&self) -> Option<usize> {
        self.page.told
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// [`NetworkError::Reset`], if the connection breaks.
    ///
    /// # Cancel safety
    /// Cancel safe: the piece is still to come.
    pub async fn chunk(&mut self) -> Result<Option<String>, NetworkError> {
        let half = self.read >= self.page.pieces.len() / 2;
        match self.page.fault {
            Some(Fault::Stalls) if half => pending().await,
            Some(Fault::Breaks) if half => return Err(NetworkError::Reset),
            _ => {}
        }
        if self.read == self.page.pieces.len() {
            self.connection.free = true;
            self.end();
            return Ok(None);
        }
        sleep(self.page.pause).await;
        let piece = self.page.pieces[self.read].clone();
        self.read += 1;
        self.connection.pool.host.lock().taken += piece.len();
        if self.read == self.page.pieces.len() && self.page.told.is_some() {
            // With the last byte that was promised, it is at its end.
            self.connection.free = true;
            self.end();
        }
        Ok(Some(piece))
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    ///
    /// # Cancel safety
    /// What was read is gone, and the connection is closed.
    pub async fn text(mut self) -> Result<String, NetworkError> {
        let mut text = String::new();
        while let Some(piece) = self.chunk().await? {
            text += &piece;
        }
        Ok(text)
    }

    /// It is in flight no more.
    fn end(&self) {
        let host = &self.connection.pool.host;
        let (now, mut state) = (host.recorder.now(), host.lock());
        if state.requests[self.index].ended.is_none() {
            state.requests[self.index].ended = Some(now);
            state.in_flight -= 1;
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.page.status).finish_non_exhaustive()
    }
}
