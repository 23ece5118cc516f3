//! One pattern, one name, everywhere: walks the places in which a pattern has to be, and names what is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The chapters, each a crate of patterns.
const CHAPTERS: [&str; 2] = ["concurrency", "resources"];

/// The chapters of which the exercises and pages are no patterns of the library, but tasks and explanations of their own.
const LOOSE: [&str; 1] = ["testing"];

/// What a pattern does without, and why.
const WITHOUT: &[(&str, &str, &str)] = &[
    ("task_group", "bench", "its cost is that of the JoinSet inside, which the bench of gather measures"),
    ("timeout", "bench", "one timer a call: neither speed nor memory is the point"),
    (
        "join",
        "bench",
        "it is tokio's `join!` with a `catch_unwind` a branch: its point is what it does, not how fast",
    ),
    ("partial", "bench", "it is gather with keys and a counter, and the bench of gather measures that"),
    (
        "first",
        "bench",
        "one box and a few polls an attempt, for a handful of attempts that wait on a network",
    ),
    (
        "blocking",
        "bench",
        "its hand-over is measured by benches/decision_table.rs, beside computing in place",
    ),
    (
        "cancel",
        "bench",
        "a line in a ledger for each request: what it is for is to lose nothing, not to be quick",
    ),
    (
        "exit_stack",
        "bench",
        "a push is an allocation, and closing waits for networks: its point is what it does, not how fast",
    ),
    ("connect", "bench", "it is an exit stack and a match: neither speed nor memory is the point"),
    ("retry", "bench", "it waits: a random number and a timer between two calls"),
    ("deadlock", "bench", "it is a sort of a few addresses before the locks: what it is for is that it ends"),
    (
        "scope",
        "bench",
        "two boxes a use, beside an opening and a closing that wait on a network: its point is what is not left open",
    ),
    (
        "database",
        "bench",
        "it is sqlx's pool: beside a round trip, a note of who has a connection is nothing; what it says is its point",
    ),
    ("select", "bench", "three polls an event: its point is what is not lost, not how fast"),
    ("lifespan", "bench", "it runs once a process, and waits: a task and a timer for each component"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/workshop has two parents").into()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The public modules that a `lib.rs` declares.
fn patterns(lib: &str) -> Vec<&str> {
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect()
}

/// What is missing of a pattern under `root`.
fn missing(root: &Path, chapter: &str, pattern: &str) -> Vec<String> {
    let home = format!("crates/{chapter}");
    let mut places = vec![
        format!("{home}/src/{pattern}.rs"),
        format!("{home}/examples/{pattern}.rs"),
        format!("{home}/tests/promises/{pattern}.rs"),
        format!("docs/src/{chapter}/{pattern}.md"),
    ];
    places.extend(["rs", "json", "txt"].map(|kind| format!("{home}/tests/timelines/{pattern}.{kind}")));
    let mut missing: Vec<String> = places.into_iter().filter(|place| !root.join(place).is_file()).collect();
    missing.extend(missing_of_exercise(root, chapter, pattern));
    let mut named_in = |file: String, needle: String| {
        if !fs::read_to_string(root.join(&file)).is_ok_and(|text| text.contains(&needle)) {
            missing.push(format!("{file}: no {needle:?} in it"));
        }
    };
    named_in("docs/src/SUMMARY.md".into(), format!("({chapter}/{pattern}.md)"));
    named_in(format!("{home}/tests/promises/main.rs"), format!("mod {pattern};"));
    named_in(format!("{home}/tests/timelines/main.rs"), format!("mod {pattern};"));
    named_in(format!("docs/src/{chapter}/{pattern}.md"), format!("{{{{#timeline {chapter}/{pattern}}}}}"));
    named_in(format!("docs/src/{chapter}/{pattern}.md"), format!("{{{{#exercise {chapter}/{pattern}}}}}"));
    if !WITHOUT.iter().any(|(name, what, _)| (*name, *what) == (pattern, "bench")) && !benched(root, pattern)
    {
        missing.push(format!("benches: none has \"{pattern}\", or \"{pattern}::\" and a function of it"));
    }
    missing
}

/// Whether a bench measures the pattern under its name.
fn benched(root: &Path, pattern: &str) -> bool {
    let mut folders = vec![root.join("benches")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("benches can be read") {
            let path = entry.expect("benches can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && let text = read(&path)
                && (text.contains(&format!("\"{pattern}\"")) || text.contains(&format!("\"{pattern}::")))
            {
                return true;
            }
        }
    }
    false
}

/// What is missing of an exercise, wherever it is spoken of.
fn missing_of_exercise(root: &Path, chapter: &str, exercise: &str) -> Vec<String> {
    let home = format!("crates/{chapter}");
    let files = ["README.md", "exercise.rs", "stub.rs", "check.rs", "solution.rs", "main.rs", "mod.rs"];
    let files = files.map(|file| format!("{home}/exercises/{exercise}/{file}"));
    let mut missing: Vec<String> = files.into_iter().filter(|file| !root.join(file).is_file()).collect();
    let wrong =
        fs::read_dir(root.join(format!("{home}/exercises/{exercise}/wrong"))).map_or(0, Iterator::count);
    if wrong < 4 {
        missing.push(format!("{home}/exercises/{exercise}/wrong: {wrong} wrong answers, not four"));
    }
    for (file, needle) in [
        (format!("{home}/exercises/answers.rs"), format!("mod {exercise};")),
        (format!("{home}/Cargo.toml"), format!("name = \"{exercise}\"")),
        (String::from("crates/workshop/src/course.rs"), format!("\"{exercise}\"")),
    ] {
        if !fs::read_to_string(root.join(&file)).is_ok_and(|text| text.contains(&needle)) {
            missing.push(format!("{file}: no {needle:?} in it"));
        }
    }
    missing
}

/// The names of what is in a folder: of the folders in it, or of the files with this extension.
fn names(folder: &Path, extension: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read").path())
        .filter(|path| extension.map_or(path.is_dir(), |kind| path.extension().is_some_and(|is| is == kind)))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[test]
fn every_exercise_page_and_timeline_of_a_loose_chapter_is_in_all_its_places() {
    let mut lacking = Vec::new();
    let summary = read(root().join("docs/src/SUMMARY.md"));
    for chapter in LOOSE {
        let home = root().join("crates").join(chapter);
        let pages = names(&root().join("docs/src").join(chapter), Some("md"));
        let all: String =
            pages.iter().map(|page| read(root().join(format!("docs/src/{chapter}/{page}.md")))).collect();
        for page in &pages {
            if !summary.contains(&format!("({chapter}/{page}.md)")) {
                lacking.push(format!("docs/src/SUMMARY.md: no page {chapter}/{page}.md"));
            }
        }
        for exercise in names(&home.join("exercises"), None) {
            lacking.extend(missing_of_exercise(&root(), chapter, &exercise));
            for directive in ["exercise", "verdict"] {
                let directive = format!("{{{{#{directive} {chapter}/{exercise}}}}}");
                if !all.contains(&directive) {
                    lacking.push(format!("docs/src/{chapter}: no page has {directive}"));
                }
            }
        }
        for timeline in names(&home.join("tests/timelines"), Some("json")) {
            let directive = format!("{{{{#timeline {chapter}/{timeline}}}}}");
            if !all.contains(&directive) {
                lacking.push(format!("docs/src/{chapter}: no page has {directive}"));
            }
        }
    }
    assert!(lacking.is_empty(), "missing:\n{}", lacking.join("\n"));
}

#[test]
fn every_pattern_is_in_all_its_places() {
    let mut lacking = Vec::new();
    for chapter in CHAPTERS {
        let lib = read(root().join(format!("crates/{chapter}/src/lib.rs")));
        let patterns = patterns(&lib);
        assert!(!patterns.is_empty(), "{chapter} has no patterns");
        lacking.extend(patterns.into_iter().flat_map(|pattern| missing(&root(), chapter, pattern)));
    }
    assert!(lacking.is_empty(), "missing:\n{}", lacking.join("\n"));
}

#[test]
fn a_pattern_that_is_nowhere_is_missing_everywhere() {
    let lacking = missing(&root(), "concurrency", "no_such_pattern");
    assert_eq!(lacking.len(), 14 + 1 + 9, "{lacking:#?}");
}

/// The names of public async functions (and of functions that return a future or a stream) whose documentation has no
/// section on cancel safety.
fn without_cancel_safety(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub ") else { continue };
        if !(rest.starts_with("async fn ") || rest.starts_with("fn ")) {
            continue;
        }
        // The signature may go over several lines.
        let signature: String = lines[at..]
            .iter()
            .take_while(|line| !line.starts_with("///"))
            .take(12)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let signature = signature.split('{').next().unwrap_or_default();
        let returns = signature.split("->").last().unwrap_or_default();
        let is_async =
            rest.starts_with("async fn ") || returns.contains("impl Future") || returns.contains("Stream<");
        let documented = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("///") || line.starts_with("#["))
            .any(|line| line.trim() == "/// # Cancel safety");
        if is_async && !documented {
            let name = rest.trim_start_matches("async ").trim_start_matches("fn ");
            found.push(name.split(['(', '<']).next().unwrap_or_default().to_owned());
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_public_async_function_says_what_happens_when_it_is_dropped() {
    let mut files = Vec::new();
    for name in ["common"].iter().chain(&LOOSE).chain(&CHAPTERS) {
        rust_files(&root().join("crates").join(name).join("src"), &mut files);
    }
    let mut lacking = Vec::new();
    for file in files {
        for name in without_cancel_safety(&read(&file)) {
            lacking.push(format!("{}: {name}", file.display()));
        }
    }
    assert!(lacking.is_empty(), "without `# Cancel safety`:\n{}", lacking.join("\n"));
}

#[test]
fn a_public_async_function_without_the_section_is_found() {
    let source = "\
/// Documented.
///
/// # Cancel safety
/// Cancel safe.
pub async fn good() {}

/// Not.
#[must_use]
pub async fn bad<T>(
    a: T,
) {}

/// Not.
pub fn future(&self) -> impl Future<Output = ()> {}

/// No need.
pub fn plain() -> u32 {
    async {}
}
";
    assert_eq!(without_cancel_safety(source), ["bad", "future"]);
}

#[test]
fn a_pristine_exercise_is_its_stub() {
    // Only where nobody has begun to learn: `.ci/run` sets the variable on a clean clone.
    if std::env::var_os("PRISTINE").is_none() {
        return;
    }
    for chapter in CHAPTERS.iter().chain(&LOOSE) {
        let exercises = root().join(format!("crates/{chapter}/exercises"));
        for exercise in names(&exercises, None) {
            let folder = exercises.join(&exercise);
            let (stub, shipped) = (read(folder.join("stub.rs")), read(folder.join("exercise.rs")));
            assert_eq!(stub, shipped, "{exercise}: exercise.rs should ship as stub.rs");
        }
    }
}

#[test]
fn the_picture_in_the_readme_is_the_recorded_one() {
    let recorded = read(root().join("crates/concurrency/tests/timelines/gather.json"));
    let recorded: serde_json::Value = serde_json::from_str(&recorded).expect("a recorded timeline is JSON");
    let traces = recorded.as_array().expect("an array of traces").iter();
    let traces: Vec<common::Trace> =
        traces.map(|trace| common::Trace::from_json(trace).expect("a trace")).collect();
    let drawn = common::draw::terminals(&traces, common::draw::Terminal::default());
    let readme = read(root().join("README.md")).replace("\r\n", "\n");
    let (before, rest) = readme.split_once("```text\n").expect("README.md has a picture");
    let (picture, after) = rest.split_once("```").expect("and its end");
    if picture != drawn && std::env::var_os("BLESS").is_some() {
        fs::write(root().join("README.md"), format!("{before}```text\n{drawn}```{after}"))
            .expect("README.md can be written");
        return;
    }
    assert!(
        picture == drawn,
        "`BLESS=1 cargo test -p workshop --test places` puts this into README.md:\n{drawn}"
    );
}
