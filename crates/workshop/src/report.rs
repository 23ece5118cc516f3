use crate::{
    judge::Report,
    process::Output,
    readme::Readme,
    style::{Ink, Style},
    text::{cut, fold, plain, without_escapes, wrap},
};
use common::{
    draw::{self, Terminal},
    verdict::Kind,
};

/// The mark of a verdict.
pub(crate) fn mark(kind: Kind, style: Style) -> String {
    let (ink, unicode, ascii) = match kind {
        Kind::Pass => (Ink::Good, "✓", "+"),
        Kind::Todo => (Ink::Open, "○", "o"),
        _ => (Ink::Bad, "✗", "x"),
    };
    style.paint(ink, style.glyph(unicode, ascii))
}

/// The verdict in one sentence.
pub(crate) fn headline(report: &Report, readme: &Readme) -> String {
    let broken = || match report.verdict.rule().map(|id| (id, readme.rule(id))) {
        Some((id, Some((Some(place), _)))) => {
            format!("rule {place} of {} is broken: `{id}`", readme.rules.len())
        }
        Some((id, _)) => format!("the rule `{id}` is broken"),
        None => String::from("a rule is broken"),
    };
    let seen = |text: &str| match &report.verdict.finding {
        Some(finding) if !finding.seen.is_empty() => format!("{text}: {}", finding.seen),
        _ => text.to_owned(),
    };
    match report.verdict.kind {
        Kind::Pass => match readme.rules.len() {
            0 | 1 => String::from("solved"),
            rules => format!("solved: all {rules} rules hold"),
        },
        Kind::Todo => String::from("to do: your code still has a `todo!()`"),
        // Without the folders: the whole path stands below, with rustc's drawing.
        Kind::CompileError => {
            match report.verdict.finding.as_ref().and_then(|found| found.seen.split_once(": ")) {
                Some((place, text)) => {
                    let file = place.rsplit(['/', '\\']).next().unwrap_or(place);
                    format!("does not compile: {file}: {text}")
                }
                None => seen("does not compile"),
            }
        }
        Kind::RuleBroken => broken(),
        Kind::Deadlock => {
            String::from("deadlock: every future waits, and nothing is left that could wake one")
        }
        Kind::Hang => String::from("hang: it goes on and on, and does not end"),
        Kind::Panic => String::from("your answer panicked"),
        Kind::Leak => String::from("leak: tasks were left running"),
    }
}

/// What the learner can do now.
pub(crate) fn next_step(report: &Report, has_hints: bool) -> String {
    let name = report.exercise.name;
    match report.verdict.kind {
        Kind::Pass => format!("`cargo run -- solution {name}` shows a solution, with its reasons"),
        Kind::Todo => String::from("fill the gap and save"),
        Kind::CompileError => {
            String::from("mend the first error, then check again: the others often follow from it")
        }
        _ if has_hints => format!("if you are stuck: `cargo run -- hint {name}`"),
        _ => String::from("change the file and check again"),
    }
}

/// Everything under the headline. rustc's lines are cut at `room`.
pub(crate) fn details(report: &Report, readme: &Readme, room: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if report.verdict.kind == Kind::CompileError {
        lines.extend(compile_errors(report, room, style));
    } else if let Some(finding) = &report.verdict.finding {
        let rule = finding.rule.as_deref().and_then(|id| readme.rule(id)).map_or("", |(_, text)| text);
        let parts = [
            ("rule", rule),
            ("case", &finding.case),
            ("expected", &finding.expected),
            ("seen", &finding.seen),
        ];
        for (label, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
            // Lines of a seen text that has several, as a panic's message may, stay lines.
            for (n, text) in text.lines().enumerate() {
                let label = format!("  {:9} ", if n == 0 { label } else { "" });
                let label_length = label.len();
                let mut wrapped = wrap(text, &label, style, style.width);
                if let Some(first) = wrapped.first_mut() {
                    let rest = first.split_off(label_length);
                    *first = style.paint(Ink::Dim, &label) + &rest;
                }
                lines.extend(wrapped);
            }
        }
        if let Some(trace) = finding.trace.as_ref().filter(|trace| !trace.lanes.is_empty()) {
            lines.push(String::new());
            let options = Terminal {
                width: style.width.saturating_sub(2),
                unicode: style.unicode,
                colour: style.colour,
            };
            lines.extend(draw::terminal(trace, options).lines().map(|line| format!("  {line}")));
        }
    }
    lines.extend(printed(&report.printed, style));
    lines
}

/// What cargo's advice to add a crate overlooks.
const CRATES: &str = "An answer is built with `std`, `tokio`, `tokio_util`, `futures` (`futures_util`), `common` and the \
                      chapter's crate only.";

/// Cut and not folded: a caret points to what stands above it.
fn compile_errors(report: &Report, room: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for line in report.rendered.trim_end().lines() {
        let line = if style.colour { line.to_owned() } else { without_escapes(line) };
        lines.push(cut(&plain(&line, style), room, style));
    }
    if without_escapes(&report.rendered).contains("cargo add") {
        lines.push(String::new());
        lines.extend(wrap(CRATES, "", style, style.width));
    }
    lines
}

/// What the program printed: framed, so that no one takes it for the verdict.
pub(crate) fn printed(output: &Output, style: Style) -> Vec<String> {
    let text = without_escapes(&String::from_utf8_lossy(&output.bytes));
    if text.trim().is_empty() && output.cut == 0 {
        return Vec::new();
    }
    let bar = style.paint(Ink::Dim, style.glyph("│", "|"));
    let mut lines = vec![String::new(), style.paint(Ink::Dim, "  what your program printed:")];
    for line in text.trim_end().lines() {
        for part in fold(&plain(line, style), style.width.saturating_sub(4).max(8)) {
            lines.push(format!("  {bar} {part}"));
        }
    }
    if output.cut > 0 {
        let cut = format!("  {} {} more bytes were cut", style.glyph("│", "|"), output.cut);
        lines.push(style.paint(Ink::Dim, &cut));
    }
    lines
}

/// The whole report as text.
pub(crate) fn lines(report: &Report, readme: &Readme, room: usize, style: Style) -> Vec<String> {
    let title = format!("{}: {}", report.exercise.name, headline(report, readme));
    let lead = format!("{} ", mark(report.verdict.kind, style));
    let mut lines = wrap(&title, &lead, style, style.width);
    lines.extend(details(report, readme, room, style));
    lines
}
