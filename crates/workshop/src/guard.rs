//! A tiny process between the workshop and every program it starts.
//!
//! It starts the program in a process group of its own, passes its own standard input on, and kills the whole group as
//! soon as that input ends or the program does. The workshop holds the other end of the pipe, so its end, by SIGKILL
//! too, is the program's end: rustc under cargo, and processes that an answer started, included.
//!
//! On Windows only the program itself is killed; what it started lives on. (A job object would reach those as well.)

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
};

/// The hidden first argument that makes the workshop a guard.
pub(crate) const COMMAND: &str = "__guard";

/// The exit code when the program could not be started, as in shells.
pub(crate) const NOT_STARTED: u8 = 127;

/// `workshop __guard -- PROGRAM ARGS`.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(program) = args.next() else {
        return ExitCode::from(2);
    };
    let mut command = Command::new(&program);
    command.args(args).stdin(Stdio::piped());
    prepare(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => {
            drop(writeln!(io::stderr(), "cannot start {}: {why}", program.display()));
            return ExitCode::from(NOT_STARTED);
        }
    };
    let input = child.stdin.take();
    let victim = Arc::new(Victim::new(child));
    thread::spawn({
        let victim = Arc::clone(&victim);
        move || {
            pass_on(input);
            victim.kill();
        }
    });
    victim.wait()
}

/// Copies until our own input ends. That the program closed its end changes nothing.
fn pass_on(mut to: Option<ChildStdin>) {
    let mut from = io::stdin().lock();
    let mut bytes = [0; 1024];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(n) => {
                if to.as_mut().is_some_and(|to| to.write_all(&bytes[..n]).and_then(|()| to.flush()).is_err())
                {
                    to = None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(unix)]
fn prepare(command: &mut Command) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    // An answer that aborts is a verdict, not a reason for a core dump.
    let maximum = getrlimit(Resource::Core).maximum;
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    // Whatever the program orphans becomes our child, even if it left the group: see `kill_adopted`.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(unix))]
fn prepare(_command: &mut Command) {}

#[cfg(unix)]
struct Victim {
    child: std::sync::Mutex<Child>,
    group: rustix::process::Pid,
}

#[cfg(unix)]
impl Victim {
    fn new(child: Child) -> Self {
        let group = rustix::process::Pid::from_child(&child);
        Self { child: std::sync::Mutex::new(child), group }
    }

    fn kill(&self) {
        // An error means that nobody is left.
        let _ = rustix::process::kill_process_group(self.group, rustix::process::Signal::KILL);
    }

    fn wait(&self) -> ExitCode {
        use rustix::process::{Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};
        use std::os::unix::process::ExitStatusExt as _;
        // Without reaping: the group's number stays taken until the whole group is dead.
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(self.group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        self.kill();
        #[cfg(target_os = "linux")]
        kill_adopted(self.group);
        let Ok(Ok(status)) = self.child.lock().map(|mut child| child.wait()) else {
            return ExitCode::from(NOT_STARTED);
        };
        if let Some(code) = status.code() {
            return ExitCode::from(u8::try_from(code).unwrap_or(1));
        }
        // Ended by a signal: end by the same one, so that the workshop sees the truth.
        let signal = status.signal().unwrap_or(9);
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process(getpid(), signal);
        }
        ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }
}

/// Kills processes that left the group (`setsid`) and were orphaned: as a subreaper we are their parent now.
#[cfg(target_os = "linux")]
fn kill_adopted(child: rustix::process::Pid) {
    use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
    let us = getpid().as_raw_nonzero();
    // A killed process may leave children of its own to us: again until there are none. Bounded, because a zombie
    // that cannot be reaped must not keep us.
    for _ in 0..100 {
        let children: Vec<Pid> = std::fs::read_to_string(format!("/proc/{us}/task/{us}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .filter(|pid| *pid != child)
            .collect();
        if children.is_empty() {
            return;
        }
        for pid in children {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

#[cfg(not(unix))]
struct Victim {
    child: std::sync::Mutex<Child>,
}

#[cfg(not(unix))]
impl Victim {
    fn new(child: Child) -> Self {
        Self { child: std::sync::Mutex::new(child) }
    }

    fn kill(&self) {
        if let Ok(mut child) = self.child.lock() {
            drop(child.kill());
        }
    }

    fn wait(&self) -> ExitCode {
        // `Child::wait` would keep the lock from `kill`.
        loop {
            let status = self.child.lock().map(|mut child| child.try_wait());
            match status {
                Ok(Ok(None)) => thread::park_timeout(std::time::Duration::from_millis(5)),
                // An `ExitCode` has eight bits, and 256 would become a success.
                Ok(Ok(Some(status))) => std::process::exit(status.code().unwrap_or(1)),
                _ => return ExitCode::from(NOT_STARTED),
            }
        }
    }
}
