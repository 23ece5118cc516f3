//! The program that judges one answer.
//!
//! The answer runs on a thread of its own, so that one which blocks or spins can be told from one that is slow, named,
//! and ended with the process.

use crate::stuck::{Patience, Progress, Watched, watched};
use common::{
    Verdict, draw,
    verdict::{Finding, Kind},
};
use serde_json::Value;
use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long an answer may go without progress before it hangs.
const PATIENCE: Patience = Patience {
    idle: Duration::from_secs(2),
    parked: Duration::from_secs(2),
    limit: Duration::from_secs(8),
    run: Duration::from_secs(8),
};

/// Judges an answer with `check` and reports the verdict; to be the whole of an exercise's `main`.
///
/// The answer runs in a process of its own, with the argument `--supervised`: that process first reads two lines from its
/// standard input, the path of a file that does not exist and a word, and leaves the verdict there as JSON, the word with
/// it as `nonce`. The answer never learns the word, so what it prints or writes, and how it exits, can't pass for a
/// verdict. Standard input then is the supervisor's lifeline: when it closes, the process ends. Started without the
/// argument, this is the supervisor: it prints the verdict, and its status is success only for a pass.
pub fn judge(exercise: &str, check: impl FnOnce() -> Verdict + Send + 'static) -> ExitCode {
    if !std::env::args().any(|argument| argument == "--supervised") {
        return match supervise() {
            Ok(verdict) => {
                print_verdict(exercise, &verdict);
                if verdict.is_pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("{exercise}: the check could not be run: {error}");
                ExitCode::from(2)
            }
        };
    }
    let (path, nonce) = match supervisor() {
        Ok(told) => told,
        Err(error) => {
            eprintln!(
                "{exercise}: --supervised takes the path of the verdict, and a word, on standard input: {error}"
            );
            return ExitCode::from(2);
        }
    };
    match leave(&path, &nonce, &judged(check)) {
        // The answer may have left threads that never end: the process does not wait for them.
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{exercise}: can't write the verdict to {}: {error}", path.display());
            std::process::exit(2)
        }
    }
}

/// Runs this program again, supervised, and gives the verdict that it leaves.
fn supervise() -> io::Result<Verdict> {
    // The standard library's one source of randomness.
    let nonce = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let name = RandomState::new().hash_one(&nonce);
    let folder = std::env::temp_dir().join(format!("verdict-{name:016x}"));
    fs::create_dir(&folder)?;
    let path = folder.join("verdict.json");
    let mut child =
        Command::new(std::env::current_exe()?).arg("--supervised").stdin(Stdio::piped()).spawn()?;
    // Held until the end: closing it ends the child.
    let mut lifeline = child.stdin.take();
    if let Some(lifeline) = &mut lifeline {
        writeln!(lifeline, "{}\n{nonce}", path.display())?;
    }
    let status = child.wait()?;
    let verdict = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    drop(fs::remove_dir_all(&folder));
    let verdict = verdict.filter(|verdict| verdict["nonce"] == nonce.as_str());
    Ok(match verdict.and_then(|json| Verdict::from_json(&json).ok()) {
        Some(verdict) => verdict,
        None if status.code().is_some() => Verdict::found(
            Kind::RuleBroken,
            Finding {
                rule: Some(String::from("ends")),
                expected: String::from("the answer returns to who called it"),
                seen: format!("the answer ended the whole process ({status})"),
                ..Finding::default()
            },
        ),
        None => found(
            &Progress::default(),
            Kind::Panic,
            format!("the process died of {status}: a stack overflow, an abort, or a panic within a panic"),
        ),
    })
}

/// Reads the path of the verdict and the word for it, and starts the thread that holds the lifeline.
fn supervisor() -> io::Result<(PathBuf, String)> {
    let line = || {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(line.to_owned()) }
    };
    let (path, nonce) = (line()?, line()?);
    thread::spawn(|| {
        let mut rest = Vec::new();
        // However the read ends, nobody waits for the verdict any more.
        drop(io::stdin().lock().read_to_end(&mut rest));
        std::process::exit(3);
    });
    Ok((PathBuf::from(path), nonce))
}

/// Written beside its place and moved there: a reader never sees half a verdict.
fn leave(path: &Path, nonce: &str, verdict: &Verdict) -> io::Result<()> {
    let beside = path.with_extension("part");
    let mut verdict = verdict.to_json();
    verdict["nonce"] = Value::from(nonce);
    fs::write(&beside, verdict.to_string())?;
    fs::rename(beside, path)
}

fn print_verdict(exercise: &str, verdict: &Verdict) {
    let mut out = io::stdout();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut text = format!("{exercise}: {}\n", verdict.kind.word());
    if let Some(finding) = &verdict.finding {
        for (word, part) in [
            ("rule", finding.rule.as_deref().unwrap_or_default()),
            ("case", &finding.case),
            ("expected", &finding.expected),
            ("seen", &finding.seen),
        ] {
            if !part.is_empty() {
                text.push_str(&format!("  {word}: {part}\n"));
            }
        }
        if let Some(trace) = finding.trace.as_ref().filter(|trace| !trace.lanes.is_empty()) {
            text.push('\n');
            text.push_str(&draw::terminal(trace, draw::Terminal { colour, ..draw::Terminal::default() }));
        }
    }
    // A closed pipe is the reader's choice, not an error.
    drop(out.write_all(text.as_bytes()));
}

/// Runs `check` on a thread and watches it: comes back with a verdict, whatever the answer does.
fn judged(check: impl FnOnce() -> Verdict + Send + 'static) -> Verdict {
    let progress = Arc::new(Progress::default());
    match watched("check", &progress, PATIENCE, check, |_| ()) {
        Watched::Ended(verdict) => verdict,
        Watched::Stuck(seen) => found(&progress, Kind::Hang, seen),
        Watched::Died => {
            found(&progress, Kind::Panic, String::from("the check itself panicked, outside any case"))
        }
        Watched::NoThread(error) => {
            found(&progress, Kind::Panic, format!("no thread to run the answer on: {error}"))
        }
    }
}

fn found(progress: &Progress, kind: Kind, seen: String) -> Verdict {
    let trace = progress.recorder().map(|recorder| recorder.trace());
    let rule = if kind == Kind::Hang { "ends" } else { "no-panic" };
    let case = trace.as_ref().map(|trace| trace.title.clone()).unwrap_or_default();
    let expected = if kind == Kind::Hang {
        "the answer waits with `.await` for what it needs, and ends"
    } else {
        "no panic"
    };
    Verdict::found(
        kind,
        Finding { rule: Some(rule.to_owned()), case, expected: expected.to_owned(), seen, trace },
    )
}
