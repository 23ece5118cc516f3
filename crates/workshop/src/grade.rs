use crate::{
    answer::Answer,
    check::Steps,
    course::Exercise,
    judge::judge,
    list,
    process::Cancel,
    progress::Standing,
    repository::{Repository, entries},
    stop::{Stop, say, to_stderr},
    style::{Ink, Style},
    text,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// `workshop grade DIR`: DIR/LEARNER/EXERCISE.rs.
pub(crate) fn run(repository: &Repository, folder: &Path, json: bool) -> Result<bool, Stop> {
    std::fs::read_dir(folder).map_err(Stop::cannot(format_args!(
        "read {}: it should hold a folder for each learner, and in it one file EXERCISE.rs for each answer",
        folder.display()
    )))?;
    let learners: Vec<PathBuf> =
        entries(folder).into_iter().filter(|path| path.is_dir() && !hidden(path)).collect();
    if learners.is_empty() {
        return Err(Stop::because(format!(
            "no learner's folder in {}: it should be {}/LEARNER/EXERCISE.rs",
            folder.display(),
            folder.display()
        )));
    }
    for learner in &learners {
        warn_of_strangers(repository, learner);
    }
    let mut steps = Steps::new();
    let mut all_pass = true;
    let mut rows: Vec<Vec<Option<Standing>>> = learners.iter().map(|_| Vec::new()).collect();
    // Exercise by exercise: cargo then builds what changed least.
    for exercise in repository.exercises() {
        for (learner, row) in learners.iter().zip(&mut rows) {
            let path = learner.join(exercise.name).with_extension("rs");
            if !path.exists() {
                all_pass = false;
                row.push(None);
                if json {
                    say(not_judged(&name(learner), exercise, "no file"))?;
                }
                continue;
            }
            let report = Answer::from_file(&path).and_then(|answer| {
                judge(repository, exercise, &answer, &Cancel::default(), &mut |step| {
                    steps.show(exercise, &step);
                })
            });
            steps.clear();
            // Whatever one learner handed in, the others are judged all the same.
            let report = match report {
                Ok(report) => report,
                Err(stop @ (Stop::Closed | Stop::Cancelled)) => return Err(stop),
                Err(stop) => {
                    let why = text::without_escapes(&stop.to_string());
                    to_stderr(&format!(
                        "warning: {} was not judged: {why}",
                        text::without_escapes(&answer_name(learner, exercise))
                    ));
                    all_pass = false;
                    row.push(Some(Standing::Unreadable(why.clone())));
                    if json {
                        say(not_judged(&name(learner), exercise, &why))?;
                    }
                    continue;
                }
            };
            all_pass &= report.verdict.is_pass();
            if json {
                let mut object = report.to_json();
                object["learner"] = json!(name(learner));
                say(object)?;
            }
            row.push(Some(Standing::Judged(report.verdict.kind, report.verdict.rule().map(str::to_owned))));
        }
    }
    if !json {
        table(repository, &learners, &rows)?;
    }
    Ok(all_pass)
}

fn answer_name(learner: &Path, exercise: Exercise) -> String {
    format!("{}/{}.rs", name(learner), exercise.name)
}

fn not_judged(learner: &str, exercise: Exercise, why: &str) -> serde_json::Value {
    json!({
        "learner": learner,
        "exercise": exercise.name,
        "chapter": exercise.chapter,
        "verdict": null,
        "rule": null,
        "message": why,
        "seconds": 0.0,
    })
}

/// Files that no exercise is named like: most often a misspelt name.
fn warn_of_strangers(repository: &Repository, learner: &Path) {
    for path in entries(learner).iter().filter(|path| !hidden(path)) {
        let known = repository.exercises().any(|exercise| {
            path.file_name().is_some_and(|name| name.to_string_lossy() == format!("{}.rs", exercise.name))
        });
        if !known {
            to_stderr(&format!("warning: {} is named like no exercise and was not graded", path.display()));
        }
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn name(learner: &Path) -> String {
    let name = learner.file_name().unwrap_or_default().to_string_lossy();
    // A line break in a name must not break the table.
    name.replace(char::is_control, "?")
}

/// One row a learner; exercises that do not fit beside each other go on below.
fn table(repository: &Repository, learners: &[PathBuf], rows: &[Vec<Option<Standing>>]) -> Result<(), Stop> {
    let style = Style::of_stdout();
    let exercises: Vec<Exercise> = repository.exercises().collect();
    let names = learners.iter().map(|learner| text::width(&name(learner))).max().unwrap_or(0).clamp(7, 20);
    let cell = |standing: &Option<Standing>| match standing {
        None => (style.glyph("–", "-").to_owned(), String::from("no file")),
        Some(standing) => (list::mark(standing, style), list::state(standing)),
    };
    let widths: Vec<usize> = exercises
        .iter()
        .enumerate()
        .map(|(n, exercise)| {
            let states = rows.iter().map(|row| text::width(&cell(&row[n]).1) + 2);
            states.chain([exercise.name.len()]).max().unwrap_or(0)
        })
        .collect();
    let mut from = 0;
    while from < exercises.len() {
        let mut until = from;
        let mut used = names;
        while until < exercises.len() && (until == from || used + 2 + widths[until] <= style.width) {
            used += 2 + widths[until];
            until += 1;
        }
        let mut head = pad("learner", names);
        for n in from..until {
            head += "  ";
            head += &pad(exercises[n].name, widths[n]);
        }
        say(style.paint(Ink::Bold, head.trim_end()))?;
        for (learner, row) in learners.iter().zip(rows) {
            let mut line = pad(&text::clip(&text::without_escapes(&name(learner)), names), names);
            for n in from..until {
                let (mark, state) = cell(&row[n]);
                line += "  ";
                line += &pad(&format!("{mark} {state}"), widths[n]);
            }
            say(line.trim_end())?;
        }
        from = until;
        if from < exercises.len() {
            say("")?;
        }
    }
    Ok(())
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text::width(text))))
}
