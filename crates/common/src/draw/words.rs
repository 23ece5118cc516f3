use super::{is_long, time};
use crate::trace::{By, Trace, What};
use std::{fmt::Write as _, time::Duration};

/// The trace as text, one event a line: what a `diff` or a screen reader can follow.
///
/// ```
/// use common::{Trace, draw};
/// let trace = Trace { title: "nothing ran".into(), lanes: vec![] };
/// assert_eq!(draw::words(&trace), "nothing ran\n");
/// ```
#[must_use]
pub fn words(trace: &Trace) -> String {
    let mut out = format!("{}\n", trace.title);
    for lane in &trace.lanes {
        writeln!(out, "  {}", lane.name).expect("a String takes all");
        line(&mut out, lane.born, "born");
        for event in &lane.events {
            let what = match &event.what {
                What::Polled { until } if !is_long(event.at, *until) => String::from("polled"),
                What::Polled { until } => {
                    format!("polled for {}, blocking its thread", time(*until - event.at))
                }
                What::Waits(what) => format!("waits for {what}"),
                What::Woken(By::Clock) => String::from("woken by the clock"),
                What::Woken(By::Other) => String::from("woken"),
                What::Woken(By::Lane(lane)) => {
                    format!("woken by {}", trace.lanes.get(*lane).map_or("?", |by| &by.name))
                }
                What::Note(note) => note.clone(),
                What::Finished => String::from("finished"),
                What::Failed(why) => format!("failed: {why}"),
                What::Panicked(why) => format!("panicked: {why}"),
                What::Dropped => String::from("dropped before it had finished"),
            };
            line(&mut out, event.at, &what);
        }
        if lane.ending().is_none() {
            line(&mut out, trace.end(), "still there");
        }
    }
    out
}

fn line(out: &mut String, at: Duration, what: &str) {
    writeln!(out, "    {:>7}  {what}", time(at)).expect("a String takes all");
}
