//! A server in memory that knows every session that was opened with it: which were closed, and which were left behind.

use crate::{Recorder, recorder};
use std::{
    any::Any,
    collections::HashMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// What a resource is opened with: a database, a broker, a registry of leases.
///
/// Clones are handles to the same server. Opening, asking and closing are lanes of the recorder; each takes 10 ms, unless
/// told otherwise. As with a real server, a session ends by being closed, and not by being forgotten: who drops a
/// [`Session`] leaves it open, and so does who drops its `close` before the server has answered.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, server::{Server, What}};
///
/// clock::paused(async {
///     let server = Server::new(&Recorder::new("two sessions"));
///     let mut kept = server.open("kept").await?;
///     drop(server.open("forgotten").await?);
///     assert_eq!(kept.ask(7).await?, "kept: 7");
///     kept.close().await?;
///     assert_eq!(server.left_open(), ["forgotten"]);
///     assert_eq!(server.log().last().map(|line| line.what), Some(What::Closed));
/// # Ok::<(), common::server::ServerError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Mutex<State>>,
    recorder: Recorder,
}

#[derive(Default)]
struct State {
    script: HashMap<(Call, String), (Duration, Outcome)>,
    sessions: Vec<Standing>,
    log: Vec<Line>,
    early: bool,
    payload: Payload,
    peak: usize,
}

/// A session as the server sees it.
struct Standing {
    name: String,
    open: bool,
}

/// What one asks of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// To open a session.
    Open,
    /// To answer a question.
    Ask,
    /// To close a session.
    Close,
}

/// How a scripted call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// With [`ServerError`]. A session whose closing fails is gone all the same.
    Fail,
    /// Never.
    Hang,
    /// With a panic in the caller's task. A session whose closing panics is gone all the same.
    Panic,
}

/// What a scripted panic carries; each of them is met in programs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// A `String`, as of `panic!("{name} is cursed")`.
    #[default]
    Formatted,
    /// A `&'static str`, as of `panic!("it is cursed")`.
    Literal,
    /// Something that is no text, as of `std::panic::panic_any(13_u32)`.
    Other,
}

impl Payload {
    fn of(self, session: &str) -> Box<dyn Any + Send> {
        match self {
            Self::Formatted => Box::new(format!("{session} is cursed")),
            Self::Literal => Box::new("it is cursed"),
            Self::Other => Box::new(13_u32),
        }
    }
}

/// A line in the server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, counted from the recorder's start.
    pub at: Duration,
    /// The session's name.
    pub session: String,
    /// What happened.
    pub what: What,
}

/// What happened to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// It is open.
    Opened,
    /// It could not be opened.
    NotOpened,
    /// Its closing has begun.
    Closing,
    /// It is closed.
    Closed,
    /// It is gone, but its closing gave an error or a panic.
    NotClosed,
    /// Whoever had it has dropped it, before it was closed: it stays open.
    Left,
}

/// The server would not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerError {
    /// What was asked of it.
    pub call: Call,
    /// The session's name.
    pub session: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Open => "open",
            Call::Ask => "answer",
            Call::Close => "close",
        };
        write!(f, "the server could not {call} {}", self.session)
    }
}

impl std::error::Error for ServerError {}

impl Server {
    /// A server for which every call takes 10 ms and goes well.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { shared: Arc::default(), recorder: recorder.clone() }
    }

    /// Scripts a call: for sessions of this name it ends after `latency`, with `outcome`.
    #[must_use = "the script is set in place; bind or chain what is returned"]
    pub fn on(self, call: Call, session: &str, latency: Duration, outcome: Outcome) -> Self {
        self.lock().script.insert((call, session.to_owned()), (latency, outcome));
        self
    }

    /// From now on, a session exists from the moment in which it is asked for, and not from that of the answer: who drops
    /// [`open`](Self::open) in between leaves one behind, whatever has become of the answer.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn opens_at_once(self) -> Self {
        self.lock().early = true;
        self
    }

    /// From now on, scripted panics carry this.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn panics_with(self, payload: Payload) -> Self {
        self.lock().payload = payload;
        self
    }

    /// Opens a session. Nothing happens until the future is polled; it owns what it needs, so it can be spawned.
    ///
    /// # Errors
    /// [`ServerError`], as scripted; then there is no session.
    ///
    /// # Cancel safety
    /// Dropped before it has answered, no session is left, unless the server [opens at once](Self::opens_at_once).
    pub fn open(&self, name: &str) -> impl Future<Output = Result<Session, ServerError>> + Send + use<> {
        let (server, name) = (self.clone(), name.to_owned());
        let early = self.lock().early;
        async move {
            let recorder = server.recorder.clone();
            let lane = format!("open {name}");
            let call = async {
                // Dropped in the middle, it stays open, if it is open by then.
                let early = early.then(|| server.opened(&name));
                let outcome = server.outcome(Call::Open, &name).await;
                if outcome != Outcome::Done {
                    if let Some(mut session) = early {
                        session.end();
                    }
                    server.write(&name, What::NotOpened);
                    return Err(server.error(outcome, Call::Open, &name));
                }
                Ok(early.unwrap_or_else(|| server.opened(&name)))
            };
            recorder.try_lane(lane, call).await
        }
    }

    /// What happened, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Line> {
        self.lock().log.clone()
    }

    /// The sessions that are open, in the order in which they were opened.
    #[must_use]
    pub fn left_open(&self) -> Vec<String> {
        self.lock()
            .sessions
            .iter()
            .filter(|session| session.open)
            .map(|session| session.name.clone())
            .collect()
    }

    /// How many sessions were opened so far.
    #[must_use]
    pub fn opened_so_far(&self) -> usize {
        self.lock().sessions.len()
    }

    /// The largest number of sessions that were open at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    fn opened(&self, name: &str) -> Session {
        let index = {
            let mut state = self.lock();
            state.sessions.push(Standing { name: name.to_owned(), open: true });
            let open = state.sessions.iter().filter(|session| session.open).count();
            state.peak = state.peak.max(open);
            state.sessions.len() - 1
        };
        self.write(name, What::Opened);
        Session { server: self.clone(), name: name.to_owned(), index, over: false }
    }

    /// What the caller gets who does not get what was asked for.
    fn error(&self, outcome: Outcome, call: Call, session: &str) -> ServerError {
        if outcome == Outcome::Panic {
            let payload = self.lock().payload;
            // Not `panic!`: a scripted panic is part of the case and has no business on the learner's screen.
            std::panic::resume_unwind(payload.of(session));
        }
        ServerError { call, session: session.to_owned() }
    }

    /// Waits as long as the script says.
    async fn outcome(&self, call: Call, session: &str) -> Outcome {
        let scripted = self.lock().script.get(&(call, session.to_owned())).copied();
        let (latency, outcome) = scripted.unwrap_or((Duration::from_millis(10), Outcome::Done));
        sleep(latency).await;
        if outcome == Outcome::Hang {
            pending::<()>().await;
        }
        outcome
    }

    fn write(&self, session: &str, what: What) {
        let at = self.recorder.now();
        self.lock().log.push(Line { at, session: session.to_owned(), what });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("left_open", &self.left_open()).finish_non_exhaustive()
    }
}

/// An open session. Dropped without [`close`](Self::close), it stays open on the server.
#[must_use = "dropped without `close`, it stays open on the server"]
pub struct Session {
    server: Server,
    name: String,
    /// Its place among the server's sessions.
    index: usize,
    over: bool,
}

impl Session {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the server something: `kept: 7` is what a session called "kept" is told about 7.
    ///
    /// # Errors
    /// [`ServerError`], as scripted.
    ///
    /// # Cancel safety
    /// Cancel safe: the session can be asked again.
    pub async fn ask(&mut self, id: u32) -> Result<String, ServerError> {
        let call = async {
            match self.server.outcome(Call::Ask, &self.name).await {
                Outcome::Done => Ok(format!("{}: {id}", self.name)),
                outcome => Err(self.server.error(outcome, Call::Ask, &self.name)),
            }
        };
        self.server.recorder.try_lane(format!("ask {} for {id}", self.name), call).await
    }

    /// Closes it: asks the server, and waits for its answer.
    ///
    /// # Errors
    /// [`ServerError`], as scripted; the session is gone all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped before the server has answered, the session stays open, and nobody has it any more.
    pub async fn close(mut self) -> Result<(), ServerError> {
        let (recorder, lane) = (self.server.recorder.clone(), format!("close {}", self.name));
        let call = async {
            self.server.write(&self.name, What::Closing);
            let outcome = self.server.outcome(Call::Close, &self.name).await;
            self.end();
            let done = outcome == Outcome::Done;
            self.server.write(&self.name, if done { What::Closed } else { What::NotClosed });
            if done { Ok(()) } else { Err(self.server.error(outcome, Call::Close, &self.name)) }
        };
        recorder.try_lane(lane, call).await
    }

    /// The server has it no more.
    fn end(&mut self) {
        self.over = true;
        self.server.lock().sessions[self.index].open = false;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.over {
            recorder::note(format!("{} is left open", self.name));
            self.server.write(&self.name, What::Left);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.name).finish()
    }
}
