use super::{Error, Result, terminal::Recorded};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Makes every recorded output again.
pub(super) fn write(workspace: &Path) -> Result<()> {
    for (path, text) in recorded(workspace)? {
        let now = run(workspace, &path, &text)?;
        if now != text {
            fs::write(&path, now).map_err(|error| in_file(&path, &error.to_string()))?;
            println!("recorded {}", path.display());
        }
    }
    Ok(())
}

/// Fails for the first recorded output that is not what its command says now.
pub(super) fn check(workspace: &Path) -> Result<()> {
    for (path, text) in recorded(workspace)? {
        let now = run(workspace, &path, &text)?;
        if now != text {
            return Err(in_file(
                &path,
                &format!("the recorded output is out of date; `book record` makes it again. Now:\n\n{now}"),
            ));
        }
    }
    Ok(())
}

/// The recorded outputs, in the order of their names.
fn recorded(workspace: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut folders = vec![workspace.join("docs/src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| in_file(&folder, &error.to_string()))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".verdict.txt") {
                let text = fs::read_to_string(&path).map_err(|error| in_file(&path, &error.to_string()))?;
                // On Windows a clone may have other line ends.
                files.push((path, text.replace("\r\n", "\n")));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What the command in the file's first line prints, below that line. No shell: the words are split at blanks.
fn run(workspace: &Path, path: &Path, text: &str) -> Result<String> {
    let command = Recorded::parse(text).map_err(|error| in_file(path, &error.to_string()))?.command;
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["cargo", "run", arguments @ ..] = words.as_slice() else {
        return Err(in_file(path, "only the output of a `cargo run ...` is recorded"));
    };
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet"])
        .args(arguments)
        .current_dir(workspace)
        // The same picture on every machine: no colours, a fixed width, Unicode.
        .env("NO_COLOR", "1")
        .env("COLUMNS", "80")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| in_file(path, &format!("cannot run `{command}`: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: String = said.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    Ok(format!("$ {command}\n{lines}"))
}

fn in_file(path: &Path, what: &str) -> Error {
    Error::new(format!("{}: {what}", path.display()))
}
