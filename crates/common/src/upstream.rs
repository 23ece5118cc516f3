//! A real HTTP/1.1 server on loopback, with scripted delays, statuses and faults: what examples point reqwest at.
//!
//! It speaks as much of the protocol as a client needs to keep connections alive, and no more. It is written by hand
//! because what it is for is misbehaving below HTTP: resets, bodies that stop half-way, bodies that trickle.

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// The answer to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    body: String,
    headers: String,
    delay: Duration,
    fault: Fault,
}

/// What goes wrong below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Reset,
    Truncate,
    Trickle { chunk: usize, pause: Duration },
}

impl Response {
    /// A response with this status code and JSON body, sent at once and whole.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), headers: String::new(), delay: Duration::ZERO, fault: Fault::None }
    }

    /// With one more header, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Waits before the first byte.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Resets the connection in place of an answer.
    #[must_use]
    pub const fn reset(mut self) -> Self {
        self.fault = Fault::Reset;
        self
    }

    /// Promises the whole body and closes the connection after half of it.
    #[must_use]
    pub const fn truncated(mut self) -> Self {
        self.fault = Fault::Truncate;
        self
    }

    /// Sends the body in chunks of `chunk` bytes with a pause after each.
    #[must_use]
    pub const fn trickle(mut self, chunk: usize, pause: Duration) -> Self {
        self.fault = Fault::Trickle { chunk, pause };
        self
    }
}

/// A running server. It stops, and its connections with it, when this is dropped.
///
/// # Examples
/// ```
/// use common::upstream::{Response, Upstream};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let upstream = Upstream::start([("/items/1", Response::new(200, r#"{"id":1}"#))]).await?;
/// println!("curl {}", upstream.url("/items/1"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub struct Upstream {
    port: u16,
    shared: Arc<Shared>,
    // Dropping the set aborts the listener, and with it the set of connections that it owns.
    _listener: JoinSet<()>,
}

struct Shared {
    routes: HashMap<String, Route>,
    connections: AtomicUsize,
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    abandoned: watch::Sender<usize>,
}

/// What a path answers: the responses in their order, the last one from then on.
#[derive(Default)]
struct Route {
    responses: Vec<Response>,
    asked: AtomicUsize,
}

impl Route {
    fn next(&self) -> Option<&Response> {
        let asked = self.asked.fetch_add(1, Relaxed);
        self.responses.get(asked).or(self.responses.last())
    }
}

impl Upstream {
    /// Starts a server on a free port of 127.0.0.1 that answers these paths, and 404 to any other. A path that is given
    /// several times answers in that order, and with the last one from then on.
    ///
    /// # Errors
    /// If no port can be bound.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped before it is ready, it leaves nothing behind.
    pub async fn start<P: Into<String>>(routes: impl IntoIterator<Item = (P, Response)>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut scripted: HashMap<String, Route> = HashMap::new();
        for (path, response) in routes {
            scripted.entry(path.into()).or_default().responses.push(response);
        }
        let shared = Arc::new(Shared {
            routes: scripted,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            abandoned: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Ok(Self { port, shared, _listener: tasks })
    }

    /// The address of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many TCP connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// How many requests came in so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Relaxed)
    }

    /// The largest number of requests that were in work at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Relaxed)
    }

    /// Waits until `count` requests were abandoned: their clients closed the connection before the answer's first byte,
    /// as a client does whose future is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn abandoned(&self, count: usize) {
        // The sender lives as long as `self`, so there is no error.
        drop(self.shared.abandoned.subscribe().wait_for(|so_far| *so_far >= count).await);
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("port", &self.port).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // A client that was gone before it was accepted is no reason to stop serving others; out of file
                    // descriptors, there is nothing to do but wait for some.
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                shared.connections.fetch_add(1, Relaxed);
                let shared = shared.clone();
                connections.spawn(async move {
                    // A broken connection is what this server is for; it ends that connection only.
                    drop(serve(stream, &shared).await);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(path) = read_request(&mut stream).await? {
        shared.requests.fetch_add(1, Relaxed);
        let working = Working::enter(shared);
        let missing = Response::new(404, r#"{"error":"no such path"}"#);
        let response = shared.routes.get(&path).and_then(Route::next).unwrap_or(&missing);
        tokio::select! {
            biased;
            () = sleep(response.delay) => {}
            () = hung_up(&mut stream) => {
                shared.abandoned.send_modify(|count| *count += 1);
                return Ok(());
            }
        }
        let body = response.body.as_bytes();
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}\r\n",
            response.status,
            reason(response.status),
            body.len(),
            response.headers,
        );
        let out = stream.get_mut();
        match response.fault {
            Fault::None => out.write_all(&[head.as_bytes(), body].concat()).await?,
            Fault::Reset => return out.set_zero_linger(),
            Fault::Truncate => {
                out.write_all(&[head.as_bytes(), &body[..body.len() / 2]].concat()).await?;
                return out.shutdown().await;
            }
            Fault::Trickle { chunk, pause } => {
                out.write_all(head.as_bytes()).await?;
                for part in body.chunks(chunk.max(1)) {
                    out.write_all(part).await?;
                    sleep(pause).await;
                }
            }
        }
        drop(working);
    }
    Ok(())
}

/// Reads one request, body included, and gives its path; nothing if the client closed the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut body_length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = stream.take(body_length);
    tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
    Ok(Some(path))
}

/// Ends when the client has closed its side. One that sends the next request ahead of the answer has not.
async fn hung_up(stream: &mut BufReader<TcpStream>) {
    match stream.fill_buf().await {
        Ok([]) | Err(_) => {}
        Ok(_) => pending().await,
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}

/// Counts a request as in work until dropped.
struct Working<'a>(&'a Shared);

impl<'a> Working<'a> {
    fn enter(shared: &'a Shared) -> Self {
        let now = shared.in_flight.fetch_add(1, Relaxed) + 1;
        shared.peak.fetch_max(now, Relaxed);
        Self(shared)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
