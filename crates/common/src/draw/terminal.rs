use super::{is_long, ticks, time};
use crate::trace::{By, Ending, Lane, Trace, What};
use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

/// How to draw for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns to fill; below 40 is taken as 40.
    pub width: usize,
    /// Unicode, or plain ASCII.
    pub unicode: bool,
    /// ANSI colours. No fact is told by colour alone.
    pub colour: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { width: 80, unicode: true, colour: false }
    }
}

impl Terminal {
    /// For the terminal that this program writes to: as wide as `COLUMNS` says, with colours only where stdout and
    /// stderr are a terminal and `NO_COLOR` is not set, and in ASCII where the locale is not UTF-8.
    #[must_use]
    pub fn here() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::told(variable, io::stdout().is_terminal() && io::stderr().is_terminal())
    }

    fn told(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> Self {
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(&variable);
        Self {
            width: variable("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(80),
            unicode: !dumb
                && locale.map_or(cfg!(windows), |locale| {
                    let locale = locale.to_ascii_lowercase();
                    locale.contains("utf-8") || locale.contains("utf8")
                }),
            colour: terminal && !dumb && variable("NO_COLOR").is_none(),
        }
    }
}

/// What a cell of the chart shows. Later variants hide earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Empty,
    Waiting,
    Polled,
    Blocking,
    Finished,
    Dropped,
    Failed,
    Panicked,
}

impl Cell {
    const LEGEND: [(Self, &str); 7] = [
        (Self::Polled, "polled"),
        (Self::Waiting, "waiting"),
        (Self::Blocking, "blocking the thread"),
        (Self::Finished, "finished"),
        (Self::Dropped, "dropped"),
        (Self::Failed, "failed"),
        (Self::Panicked, "panicked"),
    ];

    const fn glyph(self, unicode: bool) -> char {
        match (self, unicode) {
            (Self::Empty, _) => ' ',
            (Self::Waiting, true) => '─',
            (Self::Waiting, false) => '-',
            (Self::Polled, true) => '●',
            (Self::Polled, false) => 'o',
            (Self::Blocking, true) => '█',
            (Self::Blocking, false) => '#',
            (Self::Finished, true) => '✓',
            (Self::Finished, false) => '+',
            (Self::Dropped, true) => '╳',
            (Self::Dropped, false) => 'x',
            (Self::Failed, true) => '✗',
            (Self::Failed, false) => 'E',
            (Self::Panicked, _) => '!',
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Waiting => "2",
            Self::Polled => "36",
            Self::Blocking => "35",
            Self::Finished => "32",
            Self::Dropped => "33",
            Self::Failed | Self::Panicked => "31",
        }
    }
}

/// The trace as lines of text, each at most [`Terminal::width`] columns wide.
#[must_use]
pub fn terminal(trace: &Trace, options: Terminal) -> String {
    terminals(std::slice::from_ref(trace), options)
}

/// Several traces below each other, on one scale: the right way and a wrong one.
#[must_use]
pub fn terminals(traces: &[Trace], options: Terminal) -> String {
    let width = options.width.max(40);
    let until = traces.iter().map(Trace::end).max().unwrap_or_default().max(Duration::from_micros(1));
    let names = traces.iter().flat_map(|trace| &trace.lanes).map(|lane| lane.name.chars().count());
    let name_width = names.max().unwrap_or(0).min(width / 4);
    // " name chart ending ": the ending takes 17 columns, or 9 where there is little room.
    let ending_width = if width >= 72 { 17 } else { 9 };
    let chart = Chart { columns: width - name_width - ending_width - 3, until };
    let options = Terminal { width, ..options };
    let pictures = traces.iter().map(|trace| picture(trace, &chart, name_width, ending_width, options));
    pictures.collect::<Vec<_>>().join("\n")
}

fn picture(
    trace: &Trace,
    chart: &Chart,
    name_width: usize,
    ending_width: usize,
    options: Terminal,
) -> String {
    let width = options.width;
    let mut out = String::new();
    push_line(&mut out, &clip(&trace.title, width, options.unicode));
    push_line(&mut out, &format!("{:name_width$}  {}", "", chart.axis()));
    let mut shown = Vec::new();
    for lane in &trace.lanes {
        let cells = chart.cells(lane, trace.end());
        shown.extend(cells.iter().copied());
        let name = clip(&lane.name, name_width, options.unicode);
        let ending = ending(lane, ending_width >= 17);
        push_line(&mut out, &format!(" {name:name_width$} {} {ending}", paint(&cells, options)));
    }
    let legend: Vec<String> = Cell::LEGEND
        .iter()
        .filter(|(cell, _)| shown.contains(cell))
        .map(|(cell, word)| format!("{} {word}", cell.glyph(options.unicode)))
        .collect();
    for line in wrap(&legend, width.saturating_sub(name_width + 2)) {
        push_line(&mut out, &format!("{:name_width$}  {line}", ""));
    }
    for line in wakes(trace) {
        push_line(&mut out, &clip(&format!("{:name_width$}  {line}", ""), width, options.unicode));
    }
    out
}

struct Chart {
    columns: usize,
    until: Duration,
}

impl Chart {
    fn column(&self, at: Duration) -> usize {
        let share = at.as_secs_f64() / self.until.as_secs_f64();
        ((share * (self.columns - 1) as f64).round() as usize).min(self.columns - 1)
    }

    fn axis(&self) -> String {
        let mut line = String::new();
        let marks = u32::try_from((self.columns / 9).max(2)).unwrap_or(2);
        for at in ticks(self.until, marks) {
            let label = time(at);
            let column = self.column(at);
            let used = line.chars().count();
            if column + label.len() <= self.columns + 8 && (used == 0 || column > used) {
                write!(line, "{:1$}{label}", "", column - used).expect("a String takes all");
            }
        }
        line
    }

    fn cells(&self, lane: &Lane, end: Duration) -> Vec<Cell> {
        let mut cells = vec![Cell::Empty; self.columns];
        let ending = lane.ending();
        let last = ending.map_or(end, |(at, _)| at);
        cells[self.column(lane.born)..=self.column(last)].fill(Cell::Waiting);
        for (from, until) in lane.polls() {
            if is_long(from, until) {
                cells[self.column(from)..=self.column(until)].fill(Cell::Blocking);
            } else {
                let cell = &mut cells[self.column(from)];
                *cell = (*cell).max(Cell::Polled);
            }
        }
        if let Some((at, ending)) = ending {
            cells[self.column(at)] = match ending {
                Ending::Finished => Cell::Finished,
                Ending::Failed(_) => Cell::Failed,
                Ending::Panicked(_) => Cell::Panicked,
                Ending::Dropped => Cell::Dropped,
            };
        }
        cells
    }
}

fn ending(lane: &Lane, with_word: bool) -> String {
    let (word, at) = match lane.ending() {
        None => return String::from(if with_word { "still there" } else { "alive" }),
        Some((at, Ending::Finished)) => ("finished", at),
        Some((at, Ending::Failed(_))) => ("failed", at),
        Some((at, Ending::Panicked(_))) => ("panicked", at),
        Some((at, Ending::Dropped)) => ("dropped", at),
    };
    if with_word { format!("{word} {}", time(at)) } else { time(at) }
}

fn paint(cells: &[Cell], options: Terminal) -> String {
    let mut out = String::new();
    for run in cells.chunk_by(|a, b| a == b) {
        let colour = run[0].colour();
        let glyphs: String = run.iter().map(|cell| cell.glyph(options.unicode)).collect();
        if options.colour && !colour.is_empty() {
            write!(out, "\x1b[{colour}m{glyphs}\x1b[0m").expect("a String takes all");
        } else {
            out.push_str(&glyphs);
        }
    }
    out
}

/// At most three lines on which lane woke which: the causes that the bars cannot show.
fn wakes(trace: &Trace) -> Vec<String> {
    const MOST: usize = 3;
    let mut lines = Vec::new();
    for lane in &trace.lanes {
        for event in &lane.events {
            if let What::Woken(By::Lane(by)) = event.what {
                let by = trace.lanes.get(by).map_or("?", |by| &by.name);
                lines.push(format!("{} woken by {by} at {}", lane.name, time(event.at)));
            }
        }
    }
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} more woken by another lane"));
    }
    lines
}

fn wrap(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() + 3 <= width => {
                line.push_str("   ");
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

fn clip(text: &str, width: usize, unicode: bool) -> String {
    let text: String = if unicode {
        text.to_owned()
    } else {
        text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
    };
    if text.chars().count() <= width {
        return text;
    }
    let (dots, len) = if unicode { ("…", 1) } else { ("..", 2) };
    text.chars().take(width.saturating_sub(len)).chain(dots.chars()).collect()
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells_what_the_terminal_shows() {
        let told = |variables: &'static [(&str, &str)], terminal| {
            let find = |name: &str| variables.iter().find(|(its, _)| *its == name);
            Terminal::told(|name| find(name).map(|(_, value)| (*value).to_owned()), terminal)
        };
        let wide = told(&[("COLUMNS", "132"), ("LANG", "en_US.UTF-8")], true);
        assert_eq!(wide, Terminal { width: 132, unicode: true, colour: true });
        let plain = told(&[("COLUMNS", "wide"), ("LC_ALL", "C"), ("LANG", "C.utf8")], false);
        assert_eq!(plain, Terminal { width: 80, unicode: false, colour: false });
        assert!(!told(&[("NO_COLOR", "1")], true).colour);
        assert!(!told(&[("TERM", "dumb")], true).colour);
    }
}
