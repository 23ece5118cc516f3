//! `hint`, `solution` and `reset`: what stands beside an exercise.

use crate::{
    course::Exercise,
    progress::standing,
    readme::Readme,
    repository::Repository,
    stop::{Stop, say},
    style::Style,
    text::wrap,
};
use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

/// `workshop hint NAME [N]`: the first, or the first N.
pub(crate) fn hint(repository: &Repository, name: &str, number: usize) -> Result<bool, Stop> {
    let exercise = repository.exercise(name)?;
    let hints = Readme::parse(&repository.read_text(exercise, "README.md")?).hints;
    if hints.is_empty() {
        return Err(Stop::because(format!("{name} has no hints")));
    }
    if number == 0 || number > hints.len() {
        return Err(Stop::because(format!("{name} has hints 1 to {}, and no {number}", hints.len())));
    }
    let style = Style::of_stdout();
    for (n, hint) in hints.iter().enumerate().take(number) {
        for line in wrap(hint, &format!("{}. ", n + 1), style, style.width) {
            say(line)?;
        }
    }
    if number < hints.len() {
        say(format!("\n{} more: `cargo run -- hint {name} {}`", hints.len() - number, number + 1))?;
    } else {
        say(format!("\nThat was the last one; after it comes `cargo run -- solution {name}`."))?;
    }
    Ok(true)
}

/// `workshop solution NAME`.
pub(crate) fn solution(repository: &Repository, name: &str, yes: bool) -> Result<bool, Stop> {
    let exercise = repository.exercise(name)?;
    let text = repository.read_text(exercise, "solution.rs")?;
    if !yes && !standing(repository, exercise).is_solved() {
        if !io::stdin().is_terminal() {
            return Err(Stop::because(format!(
                "{name} is not solved yet: add --yes to see the solution all the same (there are hints: `cargo run -- \
                 hint {name}`)"
            )));
        }
        if !confirmed(&format!("{name} is not solved yet. Show the solution all the same?")) {
            return Ok(true);
        }
    }
    say(text.trim_end())?;
    Ok(true)
}

fn confirmed(question: &str) -> bool {
    drop(write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush()));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// `workshop reset NAME`.
pub(crate) fn reset(repository: &Repository, name: &str) -> Result<bool, Stop> {
    let exercise = repository.exercise(name)?;
    say(match restart(repository, exercise)? {
        Some(backup) => {
            format!(
                "{name} is back at its start; your answer is kept in {}",
                repository.shown(&backup).display()
            )
        }
        None => format!("{name} is at its start"),
    })?;
    Ok(true)
}

/// Puts the starting point back. What stood there is kept, in a file that did not exist before; nothing is kept of a
/// file that is missing or already the starting point.
pub(crate) fn restart(repository: &Repository, exercise: Exercise) -> Result<Option<PathBuf>, Stop> {
    let stub = repository.read(exercise, "stub.rs")?;
    let path = repository.file(exercise, "exercise.rs");
    let mut kept = None;
    // `symlink_metadata` finds whatever is in the way, a directory or a dangling link included.
    if path.symlink_metadata().is_ok() {
        if fs::read(&path).is_ok_and(|answer| answer == stub) {
            return Ok(None);
        }
        // Renamed and not copied: it works for a file that cannot be read, too.
        let backup = free_backup(repository, exercise);
        fs::rename(&path, &backup)
            .map_err(Stop::cannot(format_args!("keep {} as a backup", path.display())))?;
        kept = Some(backup);
    }
    // Written beside it and renamed: a crash leaves the backup, and never half a file.
    let temporary = path.with_extension("rs.new");
    fs::write(&temporary, stub)
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(Stop::cannot(format_args!("write {}", path.display())))?;
    Ok(kept)
}

fn free_backup(repository: &Repository, exercise: Exercise) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let backup = repository.file(exercise, &format!("exercise.rs.backup-{number}"));
        if backup.symlink_metadata().is_err() {
            return backup;
        }
        number += 1;
    }
}
