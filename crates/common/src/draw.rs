//! A [`Trace`](crate::Trace) as a picture, three ways from the same data.
//!
//! | function | for |
//! |---|---|
//! | [`terminal()`], [`terminals`] | the workshop and the examples: Unicode or ASCII, any width |
//! | [`svg()`] | the book: the page's own colours, readable without scripts |
//! | [`words()`] | golden files, screen readers, `diff` |

mod svg;
mod terminal;
mod words;

pub use svg::{Svg, svg};
pub use terminal::{Terminal, terminal, terminals};
pub use words::words;

use std::time::Duration;

/// A duration as a person writes it: `40 ms`, `1.5 ms`, `2 s`.
#[must_use]
pub fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0 => String::from("0 ms"),
        _ if micros.is_multiple_of(1_000_000) => format!("{} s", micros / 1_000_000),
        _ if micros.is_multiple_of(1_000) => format!("{} ms", micros / 1_000),
        // Of real time, the microseconds are noise.
        10_000.. => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{} ms", micros as f64 / 1e3),
    }
}

/// Whether a poll is drawn as having a length. The paused clock has a grain of 1 ms; on a running clock, a poll that took
/// less than that is nothing to worry about.
fn is_long(from: Duration, until: Duration) -> bool {
    until - from >= Duration::from_millis(1)
}

/// The distance between the marks of an axis that is `until` long, so that about `marks` fit.
fn tick(until: Duration, marks: u32) -> Duration {
    let mut power = 1;
    loop {
        for digit in [1, 2, 5] {
            let step = Duration::from_micros(digit * power);
            if until <= step * marks {
                return step;
            }
        }
        power *= 10;
    }
}

/// The marks of the axis: 0, one step, two steps ... up to `until`.
fn ticks(until: Duration, marks: u32) -> impl Iterator<Item = Duration> {
    let step = tick(until, marks);
    (0..).map(move |n| step * n).take_while(move |at| *at <= until)
}
