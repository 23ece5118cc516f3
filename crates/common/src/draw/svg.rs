use super::{is_long, ticks, time};
use crate::trace::{By, Ending, Lane, Trace, What};
use std::{fmt::Write as _, time::Duration};

/// How to draw as SVG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Svg<'a> {
    /// An id that is unique on the page; the picture's title and description are tied to it.
    pub id: &'a str,
    /// The end of the axis, so that two pictures can share a scale; nothing: the end of the trace.
    pub until: Option<Duration>,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 26.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
/// Keeps words legible where an arrow passes below them; without a page, whose background is not known, there is none.
const HALO: &str = "paint-order: stroke; stroke: var(--bg, none); stroke-width: 4px; stroke-linejoin: round";

/// The trace as one SVG element, to stand in a page or in a file of its own.
///
/// Colours come from the page's CSS variables (`--timeline-wait`, `--timeline-poll`, `--timeline-block`,
/// `--timeline-finished`, `--timeline-failed`, `--timeline-dropped`, `--timeline-wake`, `--fg`), with values that are
/// legible on light and dark where the page sets none. Every ending has a shape and a word of its own, so that nothing
/// is told by colour alone. `<desc>` says in a sentence a lane how it ended; [`words()`](super::words()) tells all.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "writing to a String does not fail")]
pub fn svg(trace: &Trace, options: Svg<'_>) -> String {
    let until = options.until.unwrap_or_default().max(trace.end()).max(Duration::from_micros(1));
    let picture = Picture { trace, until, height: TOP + ROW * trace.lanes.len() as f64 + 24.0 };
    let mut out = String::new();
    picture.write(&mut out, options.id).expect("a String takes all");
    out
}

struct Picture<'a> {
    trace: &'a Trace,
    until: Duration,
    height: f64,
}

impl Picture<'_> {
    fn x(&self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64() / self.until.as_secs_f64() * (WIDTH - LEFT - RIGHT)
    }

    fn write(&self, out: &mut String, id: &str) -> std::fmt::Result {
        write!(
            out,
            "<svg class=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" \
             role=\"img\" aria-labelledby=\"{id}-title {id}-words\" \
             style=\"font: 12px ui-sans-serif, system-ui, sans-serif; color: var(--fg, #888)\">",
            self.height
        )?;
        write!(out, "<title id=\"{id}-title\">{}</title>", escape(&self.trace.title))?;
        write!(out, "<desc id=\"{id}-words\">{}</desc>", escape(&summary(self.trace)))?;
        let ink = "fill: currentColor";
        write!(
            out,
            "<text x=\"4\" y=\"14\" style=\"{ink}; font-weight: 600\">{}</text>",
            escape(&self.trace.title)
        )?;
        let floor = self.height - 20.0;
        for at in ticks(self.until, 8) {
            let x = self.x(at);
            write!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{floor}\" \
                 style=\"stroke: currentColor; opacity: .18\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" style=\"{ink}; text-anchor: middle\">{}</text>",
                floor + 15.0,
                time(at)
            )?;
        }
        // Arrows first: they pass below the words.
        for (row, lane) in self.trace.lanes.iter().enumerate() {
            self.wakes(out, lane, row)?;
        }
        for (row, lane) in self.trace.lanes.iter().enumerate() {
            self.lane(out, lane, TOP + row as f64 * ROW + (ROW - BAR) / 2.0)?;
        }
        out.write_str("</svg>")
    }

    fn lane(&self, out: &mut String, lane: &Lane, y: f64) -> std::fmt::Result {
        let name = escape(&lane.name);
        let base = y + BAR - 3.0;
        let shown: String = if lane.name.chars().count() > 22 {
            lane.name.chars().take(21).chain(['…']).collect()
        } else {
            lane.name.clone()
        };
        write!(
            out,
            "<g><text x=\"{}\" y=\"{base}\" style=\"fill: currentColor; text-anchor: end\">{}</text>",
            LEFT - 10.0,
            escape(&shown)
        )?;
        let ending = lane.ending();
        let last = ending.map_or_else(|| self.trace.end(), |(at, _)| at);
        let (from, to) = (self.x(lane.born), self.x(last));
        write!(
            out,
            "<rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"4\" rx=\"2\" \
             style=\"fill: var(--timeline-wait, #8a8f98)\"><title>{name}: from {} to {}</title></rect>",
            y + BAR / 2.0 - 2.0,
            (to - from).max(1.0),
            time(lane.born),
            time(last)
        )?;
        for (n, (from, until)) in lane.polls().enumerate() {
            let (x, long) = (self.x(from), self.x(until) - self.x(from));
            if is_long(from, until) {
                write!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{long:.1}\" height=\"{BAR}\" \
                     style=\"fill: var(--timeline-block, #b4439c)\">\
                     <title>{name}: blocks the thread from {} to {}</title></rect>",
                    time(from),
                    time(until)
                )?;
            } else {
                write!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{y}\" width=\"3\" height=\"{BAR}\" rx=\"1\" \
                     style=\"fill: var(--timeline-poll, #3b7dd8)\"><title>{name}: poll {} at {}</title></rect>",
                    x - 1.5,
                    n + 1,
                    time(from)
                )?;
            }
        }
        let Some((at, ending)) = ending else {
            write!(
                out,
                "<text x=\"{:.1}\" y=\"{base}\" style=\"fill: currentColor\">still there</text></g>",
                to + 10.0
            )?;
            return Ok(());
        };
        let (mark, colour, word) = match ending {
            Ending::Finished => ("✓", "var(--timeline-finished, #2a9d5c)", "finished"),
            Ending::Failed(_) => ("✗", "var(--timeline-failed, #d9433f)", "failed"),
            Ending::Panicked(_) => ("!", "var(--timeline-failed, #d9433f)", "panicked"),
            Ending::Dropped => ("╳", "var(--timeline-dropped, #c77700)", "dropped"),
        };
        write!(
            out,
            "<text x=\"{:.1}\" y=\"{base}\" style=\"fill: {colour}; font-weight: 700\">{mark}</text>\
             <text x=\"{:.1}\" y=\"{base}\" style=\"fill: currentColor; {HALO}\">{word} {}</text></g>",
            to + 5.0,
            to + 19.0,
            time(at)
        )
    }

    /// An arrow from each lane that woke this one.
    fn wakes(&self, out: &mut String, lane: &Lane, row: usize) -> std::fmt::Result {
        let middle = |row: usize| TOP + row as f64 * ROW + ROW / 2.0;
        for event in &lane.events {
            let What::Woken(By::Lane(by)) = event.what else { continue };
            let Some(waker) = self.trace.lanes.get(by) else { continue };
            if by == row {
                continue;
            }
            let (x, from, to) = (self.x(event.at), middle(by), middle(row));
            let tip = if to > from { -5.0 } else { 5.0 };
            write!(
                out,
                "<path d=\"M{x:.1} {from} q-12 {:.1} 0 {:.1} m-3 {tip} l3 {:.1} l3 {tip}\" \
                 style=\"fill: none; stroke: var(--timeline-wake, #9166cc); stroke-width: 1.5\">\
                 <title>{} wakes {} at {}</title></path>",
                (to - from) / 2.0,
                to - from,
                -tip,
                escape(&waker.name),
                escape(&lane.name),
                time(event.at)
            )?;
        }
        Ok(())
    }
}

/// How each lane ended, in a sentence each.
fn summary(trace: &Trace) -> String {
    let sentences = trace.lanes.iter().map(|lane| {
        let ending = match lane.ending() {
            None => String::from("is still there"),
            Some((at, Ending::Finished)) => format!("finished at {}", time(at)),
            Some((at, Ending::Failed(why))) => format!("failed at {}: {why}", time(at)),
            Some((at, Ending::Panicked(why))) => format!("panicked at {}: {why}", time(at)),
            Some((at, Ending::Dropped)) => format!("was dropped at {}", time(at)),
        };
        format!("{}, born at {}, {ending}.", lane.name, time(lane.born))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
