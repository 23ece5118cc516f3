use crate::{
    repository::Repository,
    stop::{Stop, say},
    style::{Ink, Style},
    text::wrap,
};
use std::{
    env,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::Command,
};

/// `workshop doctor`: what is there, what is missing, and whether it matters.
pub(crate) fn run(repository: &Repository) -> Result<bool, Stop> {
    let style = Style::of_stdout();
    let mut well = true;
    let mut tell = |finding: Finding| {
        well &= finding.weight != Weight::Needed;
        let (ink, glyph) = match finding.weight {
            Weight::Fine => (Ink::Good, style.glyph("✓", "+")),
            Weight::Optional => (Ink::Open, style.glyph("○", "o")),
            Weight::Needed => (Ink::Bad, style.glyph("✗", "x")),
        };
        let lead = format!("{} ", style.paint(ink, glyph));
        for line in wrap(&format!("{}: {}", finding.what, finding.found), &lead, style, style.width) {
            say(line)?;
        }
        Ok::<(), Stop>(())
    };

    for tool in ["rustc", "cargo"] {
        tell(toolchain(tool))?;
    }
    tell(writable(repository))?;
    if let Some(finding) = space(repository) {
        tell(finding)?;
    }
    tell(terminal(style))?;
    for (tool, purpose, remedy) in TOOLS {
        tell(match found(tool) {
            Some(path) => fine(tool, format!("{} ({purpose})", path.display())),
            None => Finding {
                what: tool.to_owned(),
                found: format!("not found, and the exercises need none; {purpose}: {remedy}"),
                weight: Weight::Optional,
            },
        })?;
    }
    say("")?;
    say(if well {
        "Everything that the exercises need is there."
    } else {
        "Mend what is marked, then try again."
    })?;
    Ok(well)
}

const TOOLS: [(&str, &str, &str); 4] = [
    ("git", "updates the course", "https://git-scm.com"),
    ("python3", "runs the Python programs of the book", "https://www.python.org"),
    (
        "mdbook",
        "builds the book another way than `cargo run -p workshop --features book -- book`",
        "`cargo install mdbook`",
    ),
    ("chromium", "looks at the book's pages in its tests", "install your system's package chromium"),
];

#[derive(PartialEq)]
enum Weight {
    Fine,
    Optional,
    Needed,
}

struct Finding {
    what: String,
    found: String,
    weight: Weight,
}

fn fine(what: &str, found: String) -> Finding {
    Finding { what: what.to_owned(), found, weight: Weight::Fine }
}

fn needed(what: &str, found: String) -> Finding {
    Finding { what: what.to_owned(), found, weight: Weight::Needed }
}

fn toolchain(tool: &str) -> Finding {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let program = if tool == "cargo" { env::var_os("CARGO") } else { None }.unwrap_or_else(|| tool.into());
    let Ok(output) = Command::new(program).arg("--version").output() else {
        return needed(
            tool,
            String::from("not found: install Rust from https://rustup.rs and open a new terminal"),
        );
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match text.split(' ').nth(1).and_then(version) {
        Some(has) if Some(has) >= version(wanted) => fine(tool, text),
        Some(_) => {
            needed(tool, format!("{text}, but the course was tried with {wanted} and newer: `rustup update`"))
        }
        None => needed(tool, format!("does not tell its version; it said {text:?}")),
    }
}

/// Major and minor.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn writable(repository: &Repository) -> Finding {
    let folder = repository.workshop();
    let probe = folder.join(format!("probe-{}", std::process::id()));
    let tried = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&probe, ""))
        .and_then(|()| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => fine("build folder", folder.display().to_string()),
        Err(why) => needed(
            "build folder",
            format!("cannot write in {}: {why}; clone the course to a place that is yours", folder.display()),
        ),
    }
}

/// The exercises alone take a few hundred megabytes.
/// By `df`, whose `-P` format is the same on every unix; a system without it is not asked.
fn space(repository: &Repository) -> Option<Finding> {
    let output = Command::new("df").arg("-Pk").arg(&repository.root).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Device, blocks, used, available: counted from the end of the device, which may hold spaces.
    let numbers: Vec<u64> =
        text.lines().nth(1)?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let megabytes = numbers.get(2)? / 1024;
    let free = format!("{:.1} GB free", megabytes as f64 / 1e3);
    Some(if megabytes < 500 {
        needed("disk", format!("{free}, and the exercises alone take about 0.3: make room"))
    } else {
        fine("disk", free)
    })
}

fn terminal(style: Style) -> Finding {
    let kind = if std::io::stdout().is_terminal() { "a terminal" } else { "no terminal (a pipe or a file)" };
    let characters = if style.unicode {
        "Unicode"
    } else {
        "ASCII only (no UTF-8 in LC_ALL, LC_CTYPE or LANG, or TERM=dumb)"
    };
    let colours = if style.colour { "colours" } else { "no colours" };
    fine("output", format!("{kind}, {} columns, {characters}, {colours}", style.width))
}

fn found(tool: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    if tool == "postgres" {
        // Debian keeps the server out of PATH.
        let versions = crate::repository::entries(Path::new("/usr/lib/postgresql"));
        folders.extend(versions.iter().map(|version| version.join("bin")));
    }
    let names: &[&str] =
        if tool == "chromium" { &["chromium", "chromium-browser", "google-chrome"] } else { &[tool] };
    folders
        .iter()
        .flat_map(|folder| {
            names.iter().map(|name| folder.join(name).with_extension(env::consts::EXE_EXTENSION))
        })
        .find(|path| path.is_file())
}
