use crate::{
    check::Steps,
    course::Exercise,
    progress::{Standing, current, settled},
    readme::Readme,
    report,
    repository::Repository,
    stop::{Stop, say, to_stderr},
    style::{Ink, Style},
    text,
};
use common::verdict::Kind;
use serde_json::json;

/// `workshop list`.
pub(crate) fn run(repository: &Repository, json: bool) -> Result<bool, Stop> {
    let style = Style::of_stdout();
    let mut steps = Steps::new();
    let mut solved = 0;
    let mut complaints = Vec::new();
    let mut chapter = "";
    for exercise in repository.exercises() {
        if !json && exercise.chapter != chapter {
            chapter = exercise.chapter;
            say(style.paint(Ink::Bold, chapter))?;
        }
        let standing = settled(repository, exercise, &mut |step| steps.show(exercise, &step));
        steps.clear();
        // Without a check the list still tells what is known.
        let standing = standing.unwrap_or_else(|stop| {
            complaints.push(stop.to_string());
            Standing::Unknown
        });
        solved += usize::from(standing.is_solved());
        let path = repository.file(exercise, "exercise.rs");
        let path = repository.shown(&path).display();
        if json {
            say(json!({
                "exercise": exercise.name,
                "chapter": exercise.chapter,
                "path": path.to_string(),
                "state": standing.word(),
            }))?;
            continue;
        }
        say(line(repository, exercise, &standing, style))?;
        if let Standing::Unreadable(why) = standing {
            complaints.push(why);
        }
    }
    let total = repository.exercises().count();
    if !json {
        say(format!("\n{} {solved} of {total} solved", bar(solved, total, 20, style)))?;
    }
    // The same trouble with several exercises is told once.
    complaints.dedup();
    for complaint in complaints {
        for line in text::wrap(&complaint, "! ", style, style.width) {
            to_stderr(&line);
        }
    }
    Ok(true)
}

fn line(repository: &Repository, exercise: Exercise, standing: &Standing, style: Style) -> String {
    let title = Readme::parse(&repository.read_text(exercise, "README.md").unwrap_or_default()).title;
    let width = repository.exercises().map(|exercise| exercise.name.len()).max().unwrap_or(0);
    let line = format!(
        "  {} {:width$}  {:16}  {}",
        mark(standing, style),
        exercise.name,
        state(standing),
        style.paint(Ink::Dim, &text::plain(&title, style)),
    );
    text::cut(&line, style.width, style)
}

/// The mark of a standing.
pub(crate) fn mark(standing: &Standing, style: Style) -> String {
    match standing {
        Standing::Untouched => report::mark(Kind::Todo, style),
        Standing::Judged(kind, _) => report::mark(*kind, style),
        Standing::Unknown => style.paint(Ink::Open, "?"),
        Standing::Unreadable(_) => style.paint(Ink::Bad, "!"),
    }
}

/// A standing in a word or two.
pub(crate) fn state(standing: &Standing) -> String {
    match standing {
        Standing::Untouched | Standing::Judged(Kind::Todo, _) => String::from("to do"),
        Standing::Judged(Kind::Pass, _) => String::from("solved"),
        Standing::Judged(Kind::RuleBroken, Some(rule)) => format!("breaks {rule}"),
        Standing::Judged(Kind::RuleBroken, None) => String::from("breaks a rule"),
        Standing::Judged(Kind::CompileError, _) => String::from("compile error"),
        // As a rule could be called.
        Standing::Judged(Kind::Panic, _) => String::from("panicked"),
        Standing::Judged(kind, _) => kind.word().to_owned(),
        Standing::Unknown => String::from("not checked yet"),
        Standing::Unreadable(_) => String::from("cannot be read"),
    }
}

/// A progress bar.
pub(crate) fn bar(done: usize, total: usize, width: usize, style: Style) -> String {
    let full = (width * done).checked_div(total).unwrap_or(0);
    let filled = style.paint(Ink::Good, &style.glyph("█", "#").repeat(full));
    let empty = style.paint(Ink::Dim, &style.glyph("░", ".").repeat(width - full));
    if style.unicode { filled + &empty } else { format!("[{filled}{empty}]") }
}

/// `workshop` without arguments, where there is no terminal for the watch screen: where you are, and what is next.
pub(crate) fn overview(repository: &Repository) -> Result<bool, Stop> {
    let style = Style::of_stdout();
    let mut steps = Steps::new();
    let next = current(repository, &mut |exercise, step| steps.show(exercise, &step));
    steps.clear();
    let total = repository.exercises().count();
    let solved = repository
        .exercises()
        .filter(|exercise| crate::progress::standing(repository, *exercise).is_solved())
        .count();
    say(format!("{} {solved} of {total} exercises solved", bar(solved, total, 20, style)))?;
    let Some(exercise) = next? else {
        say("All exercises are solved.")?;
        return Ok(true);
    };
    let path = repository.file(exercise, "exercise.rs");
    say(format!("current exercise: {}, in {}\n", exercise.name, repository.shown(&path).display()))?;
    let names = crate::check::Which::Named(vec![exercise.name.to_owned()]);
    crate::check::run(repository, &names, None, false)?;
    Ok(false)
}
