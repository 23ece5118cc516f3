use std::{error::Error, fmt, time::Duration};

/// Why a component failed: an error of whatever kind it has.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How a program ended.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it names what was aborted, and what failed"]
pub struct Report {
    /// Why.
    pub reason: Reason,
    /// When everything had started, counted from the beginning; nothing if it never came so far.
    pub ready: Option<Duration>,
    /// How long the end took, from the request on.
    pub took: Duration,
    /// The second request to stop, if there was one: from then on nobody was waited for.
    pub hurried: Option<&'static str>,
    /// What became of each component that had started, in the order in which they were stopped.
    pub components: Vec<Component>,
}

/// Why the end began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was asked for.
    Asked(&'static str),
    /// This component ended before it was asked to; its [`End`] says how.
    Ended(&'static str),
    /// A component could not be started.
    NotStarted,
}

/// What became of one component.
#[derive(Debug)]
#[non_exhaustive]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// When it had started, counted from the beginning.
    pub started: Duration,
    /// Whether it had ended before it was asked to stop. In no case did it keep running.
    pub by_itself: bool,
    /// How long it took from its turn to stop until it had gone.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

/// How a component ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// Well.
    Finished,
    /// With an error. It has gone all the same.
    Failed(Failure),
    /// With a panic, which said this. It has gone all the same.
    Panicked(String),
    /// Aborted, because its time or everybody's was over: what it was doing is half done.
    Aborted,
    /// It was aborted, and had not gone [`AFTER_ABORT`](super::AFTER_ABORT) later: it blocks its thread, and may be at work
    /// still. End the process.
    Stuck,
}

impl Component {
    /// One of this name that ended so when it was asked to, in no time. Set the fields that you need: for tests of what reads
    /// reports.
    #[must_use]
    pub const fn new(name: &'static str, end: End) -> Self {
        Self { name, started: Duration::ZERO, by_itself: false, took: Duration::ZERO, end }
    }
}

impl Report {
    /// A report on these components, which took no time. Set the fields that you need: for tests of what reads reports.
    pub const fn new(reason: Reason, components: Vec<Component>) -> Self {
        Self { reason, ready: None, took: Duration::ZERO, hurried: None, components }
    }

    /// Whether it was asked for, and every component finished, when it was told to.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let well = |component: &Component| matches!(component.end, End::Finished) && !component.by_itself;
        matches!(self.reason, Reason::Asked(_)) && self.components.iter().all(well)
    }

    /// What the process should end with: 0 if it [is clean](Self::is_clean), otherwise 1, so that whoever looks after it
    /// takes notice.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        u8::from(!self.is_clean())
    }

    /// The names of those that were aborted, or that no abort could stop, in the order in which they were stopped.
    pub fn stragglers(&self) -> impl Iterator<Item = &'static str> {
        let left = |component: &&Component| matches!(component.end, End::Aborted | End::Stuck);
        self.components.iter().filter(left).map(|component| component.name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped {} in {:?}", self.reason, self.took)?;
        if let Some(why) = self.hurried {
            write!(f, ", at once after {why}")?;
        }
        for (n, component) in self.components.iter().enumerate() {
            write!(f, "{} {component}", if n == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(why) => write!(f, "for {why}"),
            Self::Ended(who) => write!(f, "because {who} ended"),
            Self::NotStarted => write!(f, "because not everything started"),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, took, end, .. } = self;
        match end {
            End::Finished if self.by_itself => write!(f, "{name} had finished by itself"),
            End::Finished => write!(f, "{name} finished in {took:?}"),
            End::Failed(error) => write!(f, "{name} failed: {error}"),
            End::Panicked(message) => write!(f, "{name} panicked: {message}"),
            End::Aborted => write!(f, "{name} aborted after {took:?}"),
            End::Stuck => write!(f, "{name} stuck after {took:?}"),
        }
    }
}

/// Why a component could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It gave an error. Whether another attempt helps, that says.
    #[error("{name} could not be started: {source}")]
    Failed {
        /// The component.
        name: &'static str,
        /// Its error.
        source: Failure,
    },
    /// It had not started within its limit, and was dropped.
    #[error("{name} had not started within {limit:?}")]
    TimedOut {
        /// The component.
        name: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It panicked: a bug, of which another attempt is not the cure.
    #[error("{name} panicked when it was started: {message}")]
    Panicked {
        /// The component; `start` for what the caller does between them.
        name: &'static str,
        /// What the panic said.
        message: String,
    },
}

/// A program that could not be started. What had started has stopped again.
#[derive(Debug, thiserror::Error)]
#[error("{error}; {report}")]
#[non_exhaustive]
pub struct NotStarted {
    /// Why.
    #[source]
    pub error: StartError,
    /// What became of those that had started.
    pub report: Box<Report>,
}

impl NotStarted {
    /// This error, with that report: for tests of what reads them.
    #[must_use]
    pub fn new(error: StartError, report: Report) -> Self {
        Self { error, report: Box::new(report) }
    }
}
