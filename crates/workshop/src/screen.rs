//! The watch screen as lines: a pure function of the state and the size.

use crate::{
    list,
    readme::{FENCE, Readme},
    report,
    state::{Ask, Outcome, State, View},
    style::{Ink, Style},
    text::{clip, cut, fold, fold_code, plain, width, without_escapes, wrap},
};
use common::verdict::Kind;

/// What to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Screen {
    /// At most as many as the terminal has rows, none wider than its columns.
    pub(crate) lines: Vec<String>,
    /// The largest scroll that shows anything new.
    pub(crate) furthest: usize,
    /// The height of the body.
    pub(crate) page: usize,
}

/// Draws the state.
pub(crate) fn render(state: &State, columns: usize, rows: usize) -> Screen {
    // Lines of text longer than this are hard to read.
    let style = Style { width: columns.clamp(1, 110), ..state.style };
    let mut top = Vec::new();
    if rows >= 8 {
        top.push(progress(state, style));
        top.extend(place(state, rows, style));
    }
    let mut headline = headline(state, style);
    headline.truncate(if rows >= 12 { 3 } else { 1 });
    top.append(&mut headline);
    let mut bottom = Vec::new();
    if rows >= 2 {
        bottom.push(keys(state, style));
    }
    if let Some(line) = question(state).or_else(|| state.notice.clone()).filter(|_| rows >= 3) {
        let bare = Style { colour: false, ..style };
        let mut lines = wrap(&line, "", bare, style.width);
        lines.truncate(if rows >= 12 { 3 } else { 1 });
        bottom.splice(0..0, lines.iter().map(|line| style.paint(Ink::Open, line)));
    }
    let rules = if rows >= 8 { 2 } else { 0 };
    let page = rows.saturating_sub(top.len() + bottom.len() + rules);

    let (body, cursor) = body(state, style);
    let furthest = body.len().saturating_sub(page);
    let scroll = match cursor {
        // The cursor stays in sight.
        Some(cursor) => cursor.saturating_sub(page / 2).min(furthest),
        None => state.scroll.min(furthest),
    };
    let below = body.len().saturating_sub(scroll + page);

    let mut lines = top;
    if rules > 0 {
        lines.push(rule(style, &more(scroll, "above: k")));
    }
    let mut shown: Vec<String> = body.into_iter().skip(scroll).take(page).collect();
    shown.resize(page, String::new());
    lines.append(&mut shown);
    if rules > 0 {
        lines.push(rule(style, &more(below, "below: j")));
    }
    lines.append(&mut bottom);
    lines.truncate(rows);
    for line in &mut lines {
        *line = clip(line, columns);
    }
    Screen { lines, furthest, page }
}

fn progress(state: &State, style: Style) -> String {
    let (solved, total) = (state.solved(), state.entries.len());
    let bar = list::bar(solved, total, (style.width / 4).min(30), style);
    format!("{bar} {solved} of {total} solved")
}

/// The exercise and its file: in a line of its own where both are too long, so that it can be copied.
fn place(state: &State, rows: usize, style: Style) -> Vec<String> {
    let name = style.paint(Ink::Bold, state.exercise().name);
    let path = plain(&state.path, style);
    let room = style.width.saturating_sub(width(&name) + 2);
    let linked = |path: &str| match &state.link {
        Some(link) if style.colour => format!("\x1b]8;;{link}\x1b\\{path}\x1b]8;;\x1b\\"),
        _ => path.to_owned(),
    };
    if width(&path) <= room {
        return vec![format!("{name}  {}", linked(&path))];
    }
    let parts = fold(&path, style.width);
    // Where there are few rows the verdict needs them more.
    if rows < 12 || parts.len() > rows / 6 {
        return vec![format!("{name}  {}", linked(&shorten(&path, room, style)))];
    }
    let mut lines = vec![name];
    lines.extend(parts.iter().map(|part| linked(part)));
    lines
}

/// A path cut in front: its end tells more.
fn shorten(path: &str, room: usize, style: Style) -> String {
    if width(path) <= room {
        return path.to_owned();
    }
    let dots = style.glyph("…", "..");
    let mut tail = path;
    while width(tail) + width(dots) > room && !tail.is_empty() {
        tail = &tail[tail.chars().next().map_or(0, char::len_utf8)..];
    }
    format!("{dots}{tail}")
}

fn headline(state: &State, style: Style) -> Vec<String> {
    if let Some(checking) = &state.checking {
        let mark = style.paint(Ink::Open, style.glyph("◌", "."));
        let seconds = if checking.seconds > 0 { format!(", {} s", checking.seconds) } else { String::new() };
        return wrap(&format!("{}{seconds}", checking.step), &format!("{mark} "), style, style.width);
    }
    match &state.result {
        None => vec![String::new()],
        Some(Outcome::Failed(_)) => {
            vec![style.paint(Ink::Bad, "! there is no verdict: the check could not be done")]
        }
        Some(Outcome::Judged(report)) => {
            let lead = format!("{} ", report::mark(report.verdict.kind, style));
            let ink = match report.verdict.kind {
                Kind::Pass => Ink::Good,
                Kind::Todo => Ink::Open,
                _ => Ink::Bad,
            };
            // Coloured whole, and so without the colours of code.
            let bare = Style { colour: false, ..style };
            let text = report::headline(report, &state.readme);
            let mut lines = wrap(&text, "  ", bare, style.width);
            for (n, line) in lines.iter_mut().enumerate() {
                let text = style.paint(ink, line.trim_start());
                *line = if n == 0 { format!("{lead}{text}") } else { format!("  {text}") };
            }
            lines
        }
    }
}

fn more(lines: usize, side: &str) -> String {
    match lines {
        0 => String::new(),
        1 => format!(" 1 line {side} "),
        _ => format!(" {lines} lines {side} "),
    }
}

fn rule(style: Style, label: &str) -> String {
    let line = style.glyph("─", "-");
    let rest = style.width.saturating_sub(width(label) + 2);
    style.paint(Ink::Dim, &format!("{}{label}{}", line.repeat(2), line.repeat(rest)))
}

fn question(state: &State) -> Option<String> {
    Some(match state.asking? {
        Ask::Reset => String::from("start again? your answer is kept as a backup. x: yes, another key: no"),
        Ask::Solution => String::from("not solved yet. s: show the solution all the same, another key: no"),
    })
}

const HELP: (&str, &str) = ("?", "help");

/// The keys that matter now, most important first: as many as fit.
fn keys(state: &State, style: Style) -> String {
    let solved = state.entries[state.selected].standing.is_solved();
    let keys: &[(&str, &str)] = match state.view {
        View::List { .. } => &[("enter", "choose"), ("j/k", "move"), ("l", "back"), ("q", "quit"), HELP],
        View::Solution => &[("s", "back"), ("j/k", "scroll"), ("n", "next"), ("q", "quit"), HELP],
        View::Help => &[("?", "back"), ("q", "quit")],
        View::Exercise if solved => &[
            ("n", "next"),
            ("q", "quit"),
            HELP,
            ("s", "solution"),
            ("l", "list"),
            ("r", "run example"),
            ("o", "page"),
            ("p", "previous"),
            ("x", "reset"),
        ],
        View::Exercise => &[
            ("h", "hint"),
            ("q", "quit"),
            HELP,
            ("l", "list"),
            ("n", "next"),
            ("r", "run example"),
            ("o", "page"),
            ("s", "solution"),
            ("x", "reset"),
            ("p", "previous"),
        ],
    };
    // With the three columns between it and the one before.
    let columns = |(key, word): (&str, &str)| key.len() + 1 + word.len() + 3;
    let all = keys.iter().map(|key| columns(*key)).sum::<usize>();
    let mut room = style.width + 3;
    let mut shown: Vec<(&str, &str)> = Vec::new();
    // Help names those that are left out.
    let mut reserved = if all > room && keys.contains(&HELP) { columns(HELP) } else { 0 };
    for key in keys {
        if *key == HELP {
            reserved = 0;
        } else if columns(*key) + reserved > room {
            if reserved > 0 {
                shown.push(HELP);
            }
            break;
        }
        room = room.saturating_sub(columns(*key));
        shown.push(*key);
    }
    let shown: Vec<String> =
        shown.iter().map(|(key, word)| format!("{} {word}", style.paint(Ink::Bold, key))).collect();
    shown.join("   ")
}

/// The part that scrolls, and the line of the cursor, if it has one.
fn body(state: &State, style: Style) -> (Vec<String>, Option<usize>) {
    match state.view {
        View::Exercise => (exercise(state, style), None),
        View::List { cursor } => {
            let (lines, at) = listed(state, cursor, style);
            (lines, Some(at))
        }
        View::Solution => (code(&state.solution, style), None),
        View::Help => (help(style), None),
    }
}

/// The hints that were asked for and the verdict come before the task: they are what is new.
fn exercise(state: &State, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    // The newest first: it is the one that was asked for.
    for (n, hint) in state.readme.hints.iter().enumerate().take(state.hints).rev() {
        let title = format!("hint {} of {}", n + 1, state.readme.hints.len());
        lines.push(style.paint(Ink::Bold, &title));
        lines.extend(wrap(hint, "  ", style, style.width));
    }
    match &state.result {
        Some(Outcome::Failed(why)) => {
            section(&mut lines);
            for line in why.lines() {
                lines.extend(wrap(line, "", style, style.width));
            }
        }
        Some(Outcome::Judged(report)) => {
            if report.verdict.is_pass() {
                section(&mut lines);
                lines.extend(passed(state, style));
            }
            let details = match report.verdict.kind {
                // The headline says it, and the task is to be read now. What was printed may still be of use.
                Kind::Todo => report::printed(&report.printed, style),
                _ => report::details(report, &state.readme, style.width, style),
            };
            section(&mut lines);
            // What begins with an empty line does not after one.
            let skip =
                lines.last().is_none_or(String::is_empty) && details.first().is_some_and(String::is_empty);
            lines.extend(details.into_iter().skip(usize::from(skip)));
        }
        None => {}
    }
    section(&mut lines);
    lines.extend(task(&state.readme, state.report().and_then(|report| report.verdict.rule()), style));
    lines
}

/// An empty line, unless at the top.
fn section(lines: &mut Vec<String>) {
    if lines.last().is_some_and(|last| !last.is_empty()) {
        lines.push(String::new());
    }
}

fn passed(state: &State, style: Style) -> Vec<String> {
    let name = state.exercise().name;
    let text = match state.next_unsolved() {
        Some(next) => format!(
            "Well done. s shows a solution, with its reasons, r runs the example, o opens the page; n goes on to `{}`.",
            state
                .entries
                .get(state.selected + 1)
                .map_or(state.entries[next].exercise.name, |entry| entry.exercise.name)
        ),
        None => format!(
            "That was the last one: all {} exercises are solved. What is next: `cargo run -- timeline {name}` draws a \
             recorded run of the library beside the wrong ways, the book (`cargo run -p workshop --features book -- \
             book serve`) tells the reasons, and `cargo test` shows how all of it is proved.",
            state.entries.len()
        ),
    };
    wrap(&text, "", style, style.width)
}

/// The README; the rule that is broken is marked.
fn task(readme: &Readme, broken: Option<&str>, style: Style) -> Vec<String> {
    let mut lines = vec![style.paint(Ink::Bold, &plain(&readme.title, style))];
    for paragraph in &readme.task {
        if let Some(text) = paragraph.strip_prefix(FENCE) {
            lines.push(String::new());
            let indented: String =
                text.trim_start_matches('\n').lines().map(|line| format!("    {line}\n")).collect();
            lines.extend(code(&indented, style));
        } else if let Some(item) = paragraph.strip_prefix("- ") {
            lines.extend(wrap(item, "  - ", style, style.width));
        } else {
            lines.push(String::new());
            lines.extend(wrap(paragraph, "", style, style.width));
        }
    }
    if !readme.rules.is_empty() {
        lines.push(String::new());
        lines.push(style.paint(Ink::Bold, "Rules"));
        for (n, (id, text)) in readme.rules.iter().enumerate() {
            let mark = if broken == Some(id.as_str()) {
                report::mark(Kind::RuleBroken, style)
            } else {
                String::from(" ")
            };
            lines.extend(wrap(&format!("`{id}`: {text}"), &format!("{mark}{}. ", n + 1), style, style.width));
        }
    }
    lines
}

fn code(text: &str, style: Style) -> Vec<String> {
    text.trim_end()
        .lines()
        .flat_map(|line| fold_code(&plain(&without_escapes(line), style), style.width))
        .collect()
}

fn listed(state: &State, cursor: usize, style: Style) -> (Vec<String>, usize) {
    let mut lines = Vec::new();
    let mut at = 0;
    let mut chapter = "";
    let names = state.entries.iter().map(|entry| entry.exercise.name.len()).max().unwrap_or(0);
    for (n, entry) in state.entries.iter().enumerate() {
        if entry.exercise.chapter != chapter {
            chapter = entry.exercise.chapter;
            lines.push(style.paint(Ink::Bold, chapter));
        }
        if n == cursor {
            at = lines.len();
        }
        let pointer = if n == cursor { style.glyph("▸", ">") } else { " " };
        let name = format!("{:names$}", entry.exercise.name);
        let name = if n == cursor { style.paint(Ink::Bold, &name) } else { name };
        let line = format!(
            "{pointer} {} {name}  {:15}  {}",
            list::mark(&entry.standing, style),
            list::state(&entry.standing),
            style.paint(Ink::Dim, &plain(&entry.title, style)),
        );
        lines.push(cut(&line, style.width, style));
    }
    (lines, at)
}

fn help(style: Style) -> Vec<String> {
    const KEYS: [(&str, &str); 13] = [
        ("n  p", "next exercise, previous exercise"),
        ("l", "list of exercises: choose with j, k and enter"),
        ("h", "a hint; one more each time"),
        ("s", "a solution; asks first while yours is not right"),
        ("c", "check again, the file as it is"),
        ("x", "start again; your answer is kept as a backup"),
        ("r", "run the example; Ctrl-C ends it"),
        ("o", "open the exercise's page of the book"),
        ("j  k", "scroll down and up; arrows and PgDn, PgUp too"),
        ("g  G", "to the top, to the end"),
        ("esc", "back to the exercise"),
        ("?", "this help"),
        ("q", "quit; nothing is lost, progress follows from your files"),
    ];
    let mut lines = wrap(
        "Edit the file that is named at the top, in any editor. Each time you save it, it is checked at once.",
        "",
        style,
        style.width,
    );
    lines.push(String::new());
    for (key, text) in KEYS {
        lines.extend(wrap(text, &format!("  {key:5} "), style, style.width));
    }
    lines
}

#[cfg(test)]
mod tests;
