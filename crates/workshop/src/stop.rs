use std::{fmt, io, process::ExitCode};

/// Why a command could not do its work. A wrong answer is not among the reasons: judging it *is* the work.
#[derive(Debug)]
pub(crate) enum Stop {
    /// What was wrong, with what, and what to do.
    Because(String),
    /// Whoever read the output went away, as in `workshop list | head -1`.
    Closed,
    /// An edit or a key made the work needless.
    Cancelled,
    /// clap has its own message and exit code.
    Usage(Box<clap::Error>),
}

impl Stop {
    pub(crate) fn because(why: impl fmt::Display) -> Self {
        Self::Because(why.to_string())
    }

    /// For file operations: "cannot {what}: {why}".
    pub(crate) fn cannot(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |why| Self::Because(format!("cannot {what}: {why}"))
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Because(why) => f.write_str(why),
            Self::Closed => f.write_str("the output was closed"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Usage(error) => write!(f, "{error}"),
        }
    }
}

/// 0: all is well; 1: an answer is not right yet; 2: the command could not do its work.
pub(crate) fn exit_code(outcome: Result<bool, Stop>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // What a shell reports for a program that a closed pipe ended.
        Err(Stop::Closed) => ExitCode::from(141),
        Err(Stop::Usage(error)) => {
            // Nothing can be done when even the message finds no reader.
            drop(error.print());
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
        Err(stop) => {
            to_stderr(&format!("error: {stop}"));
            ExitCode::from(2)
        }
    }
}

/// One line to stdout. A closed pipe is [`Stop::Closed`] instead of `println!`'s panic.
pub(crate) fn say(line: impl fmt::Display) -> Result<(), Stop> {
    use io::Write as _;
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::Closed),
        Err(error) => Err(Stop::because(format!("cannot write to standard output: {error}"))),
    }
}

/// One line to stderr; what cannot be told is not worth an error.
pub(crate) fn to_stderr(line: &str) {
    use io::Write as _;
    drop(writeln!(io::stderr().lock(), "{line}"));
}
