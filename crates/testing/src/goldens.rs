//! Recorded timelines, compared with the ones on file.
//!
//! For a pattern `gather`, a chapter's `tests/timelines/gather.rs` records its traces, the right way first;
//! `gather.json` beside it holds them for the book and the workshop to draw, `gather.txt` the same in words, for `diff`.

use common::{Trace, draw::words};
use serde_json::Value;
use std::{env, fs, path::Path, process::Command};

/// Records the traces of one pattern.
pub type Record = fn() -> Vec<Trace>;

/// Asserts that what `record` gives is what is on file in `folder` under `name`. With `BLESS=1` in the environment it
/// writes the files instead.
///
/// # Panics
/// If they differ, with both in words, or if a file can't be read or written.
pub fn assert_on_file(folder: &Path, name: &str, record: Record) {
    let traces = record();
    let (json, text) = (to_json(&traces), traces.iter().map(words).collect::<Vec<_>>().join("\n"));
    for (extension, now) in [("txt", text), ("json", json)] {
        let file = folder.join(name).with_extension(extension);
        if env::var_os("BLESS").is_some() {
            fs::write(&file, &now).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            continue;
        }
        let before = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; `BLESS=1 cargo test` records it", file.display()));
        // A checkout may have turned line ends.
        let before = before.replace("\r\n", "\n");
        assert!(
            before == now,
            "{} is not what a run gives now; if the change is meant, `BLESS=1 cargo test` records it\n\
             --- on file\n{before}\n--- now\n{now}",
            file.display(),
        );
    }
}

/// Asserts that 200 runs in this process give the same trace, byte for byte.
///
/// # Panics
/// At the first that differs.
pub fn assert_same_over_runs(name: &str, record: Record) {
    let first = to_json(&record());
    for run in 1..200 {
        assert_eq!(to_json(&record()), first, "{name}: run {run} differs from run 0");
    }
}

/// Asserts that the test called `test` of this very binary passes in each of 20 new processes.
///
/// # Panics
/// If one of them fails, with what it printed.
pub fn assert_same_over_processes(test: &str) {
    if env::var_os("BLESS").is_some() {
        return; // The files are being written.
    }
    let this = env::current_exe().expect("a test knows its own path");
    for process in 0..20 {
        let out = Command::new(&this)
            .args(["--exact", test, "--test-threads", "1"])
            .env_remove("BLESS")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", this.display()));
        let printed = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "process {process}: {printed}");
        assert!(printed.contains("1 passed"), "no test is called {test:?}: {printed}");
    }
}

/// One line a trace, so that a change shows where it is.
fn to_json(traces: &[Trace]) -> String {
    let lines: Vec<String> = traces.iter().map(|trace| Value::to_string(&trace.to_json())).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
