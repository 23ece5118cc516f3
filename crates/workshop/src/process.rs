use crate::{guard, stop::Stop};
use std::{
    ffi::OsString,
    io::{self, BufRead as _, Read, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// Lets another thread say that the work is no longer wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes it back.
    pub(crate) fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// The flag itself, for a signal's handler to set.
    #[cfg(unix)]
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A program to start under a [`guard`].
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) folder: PathBuf,
    pub(crate) env: Vec<(&'static str, OsString)>,
}

/// A program that runs under a guard. Dropping it kills it, and all that it started.
#[derive(Debug)]
pub(crate) struct Running {
    guard: Child,
    lifeline: Option<ChildStdin>,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    OverBudget,
    Cancelled,
}

/// How often a wait looks at what it cannot be told.
const GLANCE: Duration = Duration::from_millis(20);

impl Program {
    pub(crate) fn start(self, stdout: Stdio, stderr: Stdio) -> Result<Running, Stop> {
        let mut command = Command::new(ourselves()?);
        command.arg(guard::COMMAND).arg("--").arg(self.path).args(self.args);
        command.current_dir(self.folder).envs(self.env);
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        // Out of the terminal's group: Ctrl-C must reach us, not the guard before it has done its work.
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            command.process_group(0).arg0("workshop");
        }
        let mut guard = command.spawn().map_err(Stop::cannot("start the guard process"))?;
        let lifeline = guard.stdin.take();
        Ok(Running { guard, lifeline })
    }
}

/// The workshop's own program. On Linux the very one that runs: its file may have been replaced by a newer build.
fn ourselves() -> Result<PathBuf, Stop> {
    let running = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running);
    }
    std::env::current_exe().map_err(Stop::cannot("find the workshop's own program"))
}

impl Running {
    /// Sends a line to the program's standard input, which stays open.
    pub(crate) fn send_line(&mut self, line: &str) {
        if let Some(lifeline) = &mut self.lifeline {
            // A program that is already gone is told by `wait`.
            drop(writeln!(lifeline, "{line}").and_then(|()| lifeline.flush()));
        }
    }

    /// Waits for the end, and brings it about if the budget is spent or the work cancelled. `closed` wakes it when
    /// the program's output ends.
    pub(crate) fn wait(
        self,
        budget: Option<Duration>,
        cancel: &Cancel,
        closed: &Closed,
    ) -> Result<Ended, Stop> {
        let start = Instant::now();
        self.wait_unless(&|| budget.is_some_and(|budget| start.elapsed() >= budget), cancel, closed)
    }

    /// Waits until it has ended, is cancelled, or `over` says that its time is up.
    pub(crate) fn wait_unless(
        mut self,
        over: &dyn Fn() -> bool,
        cancel: &Cancel,
        closed: &Closed,
    ) -> Result<Ended, Stop> {
        loop {
            if let Some(status) = self.guard.try_wait().map_err(Stop::cannot("wait for a process"))? {
                return Ok(Ended::Exited(status));
            }
            if cancel.is_cancelled() {
                return Ok(Ended::Cancelled);
            }
            if over() {
                return Ok(Ended::OverBudget);
            }
            if let Err(RecvTimeoutError::Disconnected) = closed.0.recv_timeout(GLANCE) {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The guard takes this as the sign to kill.
        self.lifeline = None;
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if !matches!(self.guard.try_wait(), Ok(None)) {
                return;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        drop(self.guard.kill());
        drop(self.guard.wait());
    }
}

/// Is told when all of a program's outputs have ended.
#[derive(Debug)]
pub(crate) struct Closed(Receiver<()>);

impl Closed {
    /// Waits until all is read; or a moment, if somebody still holds the other end.
    pub(crate) fn wait(&self) {
        // Nobody sends: this ends by the last sender's drop, or by the time.
        let _ = self.0.recv_timeout(Duration::from_millis(500));
    }
}

/// Keeps [`Closed`] open.
pub(crate) type Open = Sender<()>;

pub(crate) fn closing() -> (Open, Closed) {
    let (open, closed) = mpsc::channel();
    (open, Closed(closed))
}

/// What a program wrote, up to a cap; the rest is read and only counted, so that the program is never kept waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cut: u64,
}

/// An [`Output`] while it is being read.
#[derive(Debug, Clone)]
pub(crate) struct Collector(Arc<Mutex<Output>>);

impl Collector {
    /// Reads on a thread of its own. The thread is not joined: a process that nothing could kill may hold the other
    /// end for ever.
    pub(crate) fn start(mut from: impl Read + Send + 'static, cap: usize, open: Open) -> Self {
        let output = Arc::new(Mutex::new(Output::default()));
        let shared = Arc::clone(&output);
        thread::spawn(move || {
            let mut bytes = [0; 8192];
            loop {
                match from.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(n) => {
                        let mut output = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        let kept = n.min(cap.saturating_sub(output.bytes.len()));
                        output.bytes.extend_from_slice(&bytes[..kept]);
                        output.cut += (n - kept) as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(open);
        });
        Self(output)
    }

    /// What has come.
    pub(crate) fn take(&self, closed: &Closed) -> Output {
        closed.wait();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hands each line to `each`, on a thread of its own.
pub(crate) fn lines(
    from: impl Read + Send + 'static,
    open: Open,
    mut each: impl FnMut(&str) + Send + 'static,
) {
    thread::spawn(move || {
        let mut from = io::BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            each(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        drop(open);
    });
}
