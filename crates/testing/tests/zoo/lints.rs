//! What the compiler and clippy say of the programs, with the workspace's own settings.
//!
//! Each program is a library of its own in a package that is made for the purpose, so that one which does not compile does
//! not hide the others.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Lints of form: they say nothing of a bug.
const FORM: [&str; 6] = [
    "missing_docs",
    "missing_debug_implementations",
    "unreachable_pub",
    "clippy::missing_errors_doc",
    "clippy::missing_panics_doc",
    "clippy::unwrap_used",
];

/// The codes of what was reported, by program.
pub(crate) struct Reported(BTreeMap<String, [Vec<String>; 2]>);

impl Reported {
    /// The cells of compiler and clippy for `bug` or `fixed` of an entry.
    pub(crate) fn of(&self, name: &str, program: &str) -> [String; 2] {
        let cell = |codes: &Vec<String>| if codes.is_empty() { String::from("·") } else { codes.join(", ") };
        self.0
            .get(&format!("{name}-{program}"))
            .map_or_else(|| [(); 2].map(|()| String::from("·")), |found| [cell(&found[0]), cell(&found[1])])
    }
}

/// Runs clippy on both programs of each entry.
pub(crate) fn run(names: &[&str]) -> Reported {
    let testing = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = testing.ancestors().nth(2).expect("crates/testing has two parents");
    let stage = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("zoo");
    fs::create_dir_all(stage.join("src")).expect("a folder in target");
    let write = |name: &str, text: &str| fs::write(stage.join(name), text).expect("a file in target");
    write("src/lib.rs", "");
    write("Cargo.toml", &manifest(root, testing, names));
    for file in ["Cargo.lock", ".clippy.toml"] {
        fs::copy(root.join(file), stage.join(file)).expect("a copy of a file of the workspace");
    }
    for name in names {
        for program in ["bug", "fixed"] {
            let home = testing.join("tests/zoo").join(name);
            let module = |file: &str| {
                format!("#[path = {:?}]\npub mod {file};\n", home.join(file).with_extension("rs"))
            };
            let world = if home.join("world.rs").is_file() { module("world") } else { String::new() };
            write(&format!("{name}-{program}.rs"), &format!("//! One program.\n{world}{}", module(program)));
        }
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["clippy", "--offline", "--examples", "--keep-going", "--quiet", "--message-format=json"])
        .current_dir(&stage)
        .env("CARGO_TARGET_DIR", stage.join("target"))
        .output()
        .expect("cargo clippy");
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(told.contains("build-finished"), "clippy did not run: {}", String::from_utf8_lossy(&out.stderr));
    let mut found: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
    for message in told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let (target, message) = (&message["target"]["name"], &message["message"]);
        let (Some(target), Some(level)) = (target.as_str(), message["level"].as_str()) else { continue };
        let Some((_, program)) = target.rsplit_once('-') else { continue };
        let here = |span: &serde_json::Value| {
            span["file_name"].as_str().is_some_and(|file| file.ends_with(&format!("{program}.rs")))
        };
        if !["error", "warning"].contains(&level)
            || !message["spans"].as_array().is_some_and(|spans| spans.iter().any(here))
        {
            continue;
        }
        let code = message["code"]["code"].as_str().unwrap_or("error");
        if FORM.contains(&code) {
            continue;
        }
        let codes = found.entry(target.to_owned()).or_default();
        let (column, code) = code.strip_prefix("clippy::").map_or((0, code), |lint| (1, lint));
        if !codes[column].iter().any(|known| known == code) {
            codes[column].push(code.to_owned());
        }
    }
    Reported(found)
}

/// A package with an example for each program, and the lints and versions of the workspace.
fn manifest(root: &Path, testing: &Path, names: &[&str]) -> String {
    let workspace = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's Cargo.toml");
    let lints: String = workspace
        .lines()
        .skip_while(|line| !line.starts_with("[workspace.lints"))
        .take_while(|line| !line.starts_with("[profile"))
        .map(|line| line.replace("[workspace.lints", "[lints") + "\n")
        .collect();
    let mut manifest = format!(
        "[package]\nname = \"zoo\"\nedition = \"2024\"\nautoexamples = false\n\n[workspace]\n\n{lints}\n[dependencies]\n\
         testing = {{ path = {testing:?} }}\ntokio = {{ version = \"1\", default-features = false }}\n\
         futures-util = {{ version = \"0.3\", default-features = false, features = [\"std\"] }}\n"
    );
    for name in names {
        for program in ["bug", "fixed"] {
            manifest.push_str(&format!(
                "\n[[example]]\nname = \"{name}-{program}\"\npath = \"{name}-{program}.rs\"\ncrate-type = [\"lib\"]\n"
            ));
        }
    }
    manifest
}
