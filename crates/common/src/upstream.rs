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
    held: bool,
    heedless: bool,
    fault: Fault,
}

/// What goes wrong below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Reset,
    Truncate,
    Stall,
    Endless,
    Trickle { chunk: usize, pause: Duration },
}

impl Response {
    /// A response with this status code and JSON body, sent at once and whole.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            headers: String::new(),
            delay: Duration::ZERO,
            held: false,
            heedless: false,
            fault: Fault::None,
        }
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

    /// Waits until [`Upstream::release`] before the first byte: a gate in place of a delay.
    #[must_use]
    pub const fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// Works on until it has answered, also for a client that has left: as a server does that only looks at the connection
    /// when it writes to it.
    #[must_use]
    pub const fn heedless(mut self) -> Self {
        self.heedless = true;
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

    /// Promises the whole body and says nothing more after half of it, until the client has left.
    #[must_use]
    pub const fn stalled(mut self) -> Self {
        self.fault = Fault::Stall;
        self
    }

    /// Sends the body again and again, without saying how long that will be, for as long as somebody takes it.
    #[must_use]
    pub const fn endless(mut self) -> Self {
        self.fault = Fault::Endless;
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
    seen: watch::Sender<Seen>,
    released: watch::Sender<bool>,
}

/// What an upstream has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// TCP connections that were opened.
    pub connections: usize,
    /// TCP connections that are open.
    pub open: usize,
    /// Requests that came in.
    pub requests: usize,
    /// Requests that are in work.
    pub in_flight: usize,
    /// The largest number of requests that were in work at once.
    pub peak: usize,
    /// Requests that were carried out, whether or not somebody was there to hear of it.
    pub carried_out: usize,
    /// Requests that were given up, because the client had closed the connection before the answer's first byte.
    pub abandoned: usize,
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
            seen: watch::Sender::default(),
            released: watch::Sender::new(false),
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
        self.seen().connections
    }

    /// How many requests came in so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen().requests
    }

    /// The largest number of requests that were in work at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.seen().peak
    }

    /// How often this path was asked for so far.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.shared.routes.get(path).map_or(0, |route| route.asked.load(Relaxed))
    }

    /// All that was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        *self.shared.seen.borrow()
    }

    /// Lets the answers go that are [held](Response::held), now and from now on.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Waits until what was seen is as told: in place of a sleep, for what the other side of a socket is to have done.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn until(&self, mut told: impl FnMut(&Seen) -> bool) {
        // The sender lives as long as `self`, so there is no error.
        drop(self.shared.seen.subscribe().wait_for(|seen| told(seen)).await);
    }

    /// Waits until `count` requests were abandoned: their clients closed the connection before the answer's first byte,
    /// as a client does whose future is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn abandoned(&self, count: usize) {
        self.until(|seen| seen.abandoned >= count).await;
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
                let shared = shared.clone();
                connections.spawn(async move {
                    let _open = Open::enter(&shared);
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
        let working = Working::enter(shared);
        let missing = Response::new(404, r#"{"error":"no such path"}"#);
        let response = shared.routes.get(&path).and_then(Route::next).unwrap_or(&missing);
        let mut released = shared.released.subscribe();
        let work = async {
            sleep(response.delay).await;
            if response.held {
                drop(released.wait_for(|released| *released).await);
            }
        };
        tokio::select! {
            biased;
            () = work => {}
            () = hung_up(&mut stream), if !response.heedless => {
                shared.seen.send_modify(|seen| seen.abandoned += 1);
                return Ok(());
            }
        }
        shared.seen.send_modify(|seen| seen.carried_out += 1);
        let body = response.body.as_bytes();
        let length = match response.fault {
            Fault::Endless => String::from("transfer-encoding: chunked"),
            _ => format!("content-length: {}", body.len()),
        };
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\n{length}\r\n{}\r\n",
            response.status,
            reason(response.status),
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
            Fault::Stall => {
                out.write_all(&[head.as_bytes(), &body[..body.len() / 2]].concat()).await?;
                hung_up(&mut stream).await;
                return Ok(());
            }
            Fault::Endless => {
                out.write_all(head.as_bytes()).await?;
                let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
                // An empty chunk would be the end.
                while !body.is_empty() {
                    out.write_all(&chunk).await?;
                }
                return Ok(());
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

/// Counts a connection as open until dropped.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.seen.send_modify(|seen| {
            seen.connections += 1;
            seen.open += 1;
        });
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.open -= 1);
    }
}

/// Counts a request as in work until dropped.
struct Working<'a>(&'a Shared);

impl<'a> Working<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.seen.send_modify(|seen| {
            seen.requests += 1;
            seen.in_flight += 1;
            seen.peak = seen.peak.max(seen.in_flight);
        });
        Self(shared)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.in_flight -= 1);
    }
}
