use crate::{
    answer::Answer,
    compile::Step,
    course::Exercise,
    judge::{Report, judge},
    process::Cancel,
    progress::{current, judge_own},
    readme::Readme,
    report,
    repository::Repository,
    stop::{Stop, say, to_stderr},
    style::{Ink, Style},
};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

/// Whose answers `check` judges.
#[derive(Debug)]
pub(crate) enum Which {
    Current,
    All,
    Named(Vec<String>),
}

/// `workshop check`.
pub(crate) fn run(
    repository: &Repository,
    which: &Which,
    answer: Option<&Path>,
    json: bool,
) -> Result<bool, Stop> {
    let mut steps = Steps::new();
    if let Some(path) = answer {
        let Which::Named(names) = which else {
            return Err(Stop::because(
                "--answer FILE needs the NAME of its exercise: check NAME --answer FILE",
            ));
        };
        let [name] = names.as_slice() else {
            return Err(Stop::because("--answer FILE judges one exercise: give exactly one NAME"));
        };
        let exercise = repository.exercise(name)?;
        let answer = Answer::from_file(path)?;
        let report = judge(repository, exercise, &answer, &Cancel::default(), &mut |step| {
            steps.show(exercise, &step);
        })?;
        steps.clear();
        return show(repository, &report, json);
    }
    let exercises: Vec<Exercise> = match which {
        Which::All => repository.exercises().collect(),
        Which::Named(names) => {
            names.iter().map(|name| repository.exercise(name)).collect::<Result<_, _>>()?
        }
        Which::Current => {
            let found = current(repository, &mut |exercise, step| steps.show(exercise, &step));
            steps.clear();
            match found? {
                Some(exercise) => vec![exercise],
                None => {
                    if !json {
                        say("every exercise is solved")?;
                    }
                    return Ok(true);
                }
            }
        }
    };
    let mut all_pass = true;
    let mut failed = Vec::new();
    for (n, exercise) in exercises.into_iter().enumerate() {
        let report =
            judge_own(repository, exercise, &Cancel::default(), &mut |step| steps.show(exercise, &step));
        steps.clear();
        if n > 0 && !json {
            say("")?;
        }
        match report {
            Ok(report) => all_pass &= show(repository, &report, json)?,
            // The others are judged all the same.
            Err(stop) => {
                failed.push(exercise.name);
                to_stderr(&format!("error: {stop}"));
            }
        }
    }
    if failed.is_empty() {
        return Ok(all_pass);
    }
    Err(Stop::because(format!("there is no verdict on {}: the reason stands above", failed.join(", "))))
}

/// The name of the current exercise, for commands that were given none. stderr says which it is.
pub(crate) fn current_name(repository: &Repository) -> Result<String, Stop> {
    let mut steps = Steps::new();
    let found = current(repository, &mut |exercise, step| steps.show(exercise, &step));
    steps.clear();
    match found? {
        Some(exercise) => {
            to_stderr(&format!("the current exercise: {}", exercise.name));
            Ok(exercise.name.to_owned())
        }
        None => Err(Stop::because("every exercise is solved, and so none is the current one: give a NAME")),
    }
}

fn show(repository: &Repository, report: &Report, json: bool) -> Result<bool, Stop> {
    if json {
        say(report.to_json())?;
    } else {
        let style = Style::of_stdout();
        let readme = Readme::parse(&repository.read_text(report.exercise, "README.md").unwrap_or_default());
        // A file or a pager can hold lines of any length.
        let room = if io::stdout().is_terminal() { style.width } else { usize::MAX };
        for line in report::lines(report, &readme, room, style) {
            say(line)?;
        }
        say("")?;
        for line in crate::text::wrap(
            &report::next_step(report, !readme.hints.is_empty()),
            "next: ",
            style,
            style.width,
        ) {
            say(line)?;
        }
    }
    Ok(report.verdict.is_pass())
}

/// Progress on stderr: one line that is overwritten on a terminal; elsewhere only what takes long, a line each.
#[derive(Debug)]
pub(crate) struct Steps {
    terminal: bool,
    drawn: bool,
    told: bool,
}

impl Steps {
    pub(crate) fn new() -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        Self { terminal: io::stderr().is_terminal() && !dumb, drawn: false, told: false }
    }

    pub(crate) fn show(&mut self, exercise: Exercise, step: &Step) {
        let text = words(exercise.name, step);
        if self.terminal {
            let style = Style { unicode: false, colour: true, width: 80 };
            let line = style.paint(Ink::Dim, &crate::text::clip(&text, 78));
            drop(write!(io::stderr(), "\r\x1b[2K{line}").and_then(|()| io::stderr().flush()));
            self.drawn = true;
        } else if matches!(step, Step::Compiling(..)) && !self.told {
            self.told = true;
            to_stderr("preparing the first check, once: compiling the crates that the exercises use");
        }
    }

    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            drop(write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush()));
        }
    }
}

/// A step in words.
pub(crate) fn words(name: &str, step: &Step) -> String {
    match step {
        Step::Queued => format!("{name}: another check is building, waiting for it"),
        Step::Compiling(dependency, done) => {
            format!("preparing the first check, once: compiling {dependency}, {done} crates so far")
        }
        Step::Building => format!("{name}: compiling your answer"),
        Step::Running => format!("{name}: running"),
    }
}
