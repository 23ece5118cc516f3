//! Which detector finds which bug: the table, and the tests that hold it to what they find now.
//!
//! `BLESS=1 cargo test -p testing --test zoo -- --include-ignored` writes it anew.

use crate::{
    entries,
    exam::{Cell, RUNNING},
    lints,
};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

/// One bug and its twin.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The source of the bug; its first line describes it.
    pub(crate) about: &'static str,
    /// Bug and twin, each to be run; `None` if the compiler rejects the bug.
    pub(crate) exams: Option<[Box<dyn Fn() -> [Cell; 6] + Send + Sync>; 2]>,
}

impl Entry {
    pub(crate) fn rejected(name: &'static str, about: &'static str) -> Self {
        Self { name, about, exams: None }
    }
}

/// The cells of a row: compiler, clippy, then those of [`RUNNING`].
type Row = [String; 8];

fn place() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo/matrix.md"))
}

fn word(cell: Cell) -> String {
    match cell {
        Cell::Found(word) => word,
        Cell::Quiet => String::from("·"),
        Cell::NotAsked => String::new(),
    }
}

/// The table on file, by name.
fn on_file() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(place()).unwrap_or_default();
    let cells = |line: &str| -> Option<(String, Row)> {
        let mut cells =
            line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(|cell| cell.trim().to_owned());
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        let row: Vec<String> = cells.skip(1).collect();
        Some((name, row.try_into().ok()?))
    };
    text.lines().filter_map(cells).collect()
}

fn render(rows: &BTreeMap<String, Row>) -> String {
    let mut text = format!("| bug | what it is | compiler | clippy | {} |\n", RUNNING.join(" | "));
    text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    let (mut all, mut found) = (0, 0);
    for entry in entries() {
        let about = entry.about.lines().next().unwrap_or_default().trim_start_matches("//! ");
        let row = &rows[entry.name];
        writeln!(text, "| `{}` | {about} | {} |", entry.name, row.join(" | ")).expect("a String takes all");
        all += 1;
        // Whatever an ordinary test sees, nobody needs a kit for.
        found += usize::from(
            row.iter().enumerate().any(|(n, cell)| n != 2 && !["", "·", "?"].contains(&cell.as_str())),
        );
    }
    write!(
        text,
        "\n{found} of {all} bugs are found by the compiler, by clippy with the shipped settings, or by a piece of the kit. \
         No piece says anything of a corrected twin.\n"
    )
    .expect("a String takes all");
    let known = rows.values().flatten().all(|cell| cell != "?");
    assert!(!known || found * 100 >= all * 95, "{found} of {all} is less than 95 %:\n{text}");
    text
}

/// Compares the table with what was found now, or writes it.
fn settle(rows: BTreeMap<String, Row>) {
    let now = render(&rows);
    if env::var_os("BLESS").is_some() {
        fs::write(place(), &now).unwrap_or_else(|error| panic!("{}: {error}", place().display()));
        return;
    }
    let before = fs::read_to_string(place()).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        before == now,
        "{} is not what is found now; if the change is meant, `BLESS=1 cargo test -p testing --test zoo -- \
         --include-ignored` writes it\n--- on file\n{before}\n--- now\n{now}",
        place().display()
    );
}

/// Both tests read and write the table.
static TABLE: Mutex<()> = Mutex::new(());

// Elsewhere the system does not tell what a thread does, and a blocked one is found later, or not at all.
#[cfg_attr(not(target_os = "linux"), ignore = "the matrix is that of Linux")]
#[test]
fn the_detectors_find_what_the_matrix_says_and_nothing_in_a_twin() {
    let entries = entries();
    let queue = Mutex::new(entries.iter());
    let results = Mutex::new(Vec::new());
    // Most of an exam is waiting for a watcher's patience.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(entry) = next else { return };
                    let cells = entry.exams.as_ref().map(|[bug, fixed]| (bug(), fixed()));
                    results.lock().unwrap().push((entry.name, cells));
                }
            });
        }
    });
    let _table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let on_file = on_file();
    let mut rows = BTreeMap::new();
    for (name, cells) in results.into_inner().unwrap() {
        let unknown = || [(); 8].map(|()| String::from("?"));
        let mut row = on_file.get(name).cloned().unwrap_or_else(unknown);
        let bug = match cells {
            None => [(); 6].map(|()| Cell::NotAsked),
            Some((bug, fixed)) => {
                let alarms: Vec<_> =
                    RUNNING.iter().zip(&fixed).filter(|(_, cell)| matches!(cell, Cell::Found(_))).collect();
                assert!(alarms.is_empty(), "{name}/fixed.rs: {alarms:?}");
                bug
            }
        };
        for (place, cell) in row[2..].iter_mut().zip(bug) {
            *place = word(cell);
        }
        rows.insert(name.to_owned(), row);
    }
    settle(rows);
}

#[test]
#[ignore = "needs clippy, and half a minute: CI runs it"]
fn the_lints_find_what_the_matrix_says_and_nothing_in_a_twin() {
    let entries = entries();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let found = lints::run(&names);
    let _table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows = on_file();
    for name in names {
        let row = rows.entry(name.to_owned()).or_insert_with(|| [(); 8].map(|()| String::from("?")));
        let [compiler, clippy] = found.of(name, "bug");
        (row[0], row[1]) = (compiler, clippy);
        assert_eq!(found.of(name, "fixed"), ["·", "·"], "{name}/fixed.rs");
    }
    settle(rows);
}

#[test]
fn every_folder_is_an_entry_and_has_its_files() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo"));
    let mut folders: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let entries = entries();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    assert_eq!(folders, names, "the folders, and the entries in their order");
    for entry in entries {
        assert!(entry.about.starts_with("//! "), "{}/bug.rs does not say what it is", entry.name);
        assert!(folder.join(entry.name).join("fixed.rs").is_file(), "{} has no twin", entry.name);
    }
}
