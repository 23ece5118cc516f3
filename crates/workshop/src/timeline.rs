use crate::{
    repository::{Repository, unknown},
    stop::{Stop, say},
    style::Style,
};
use common::{
    Trace,
    draw::{self, Terminal},
};
use serde_json::Value;
use std::fs;

/// `workshop timeline NAME`: the right way, then the wrong ones, on one scale.
pub(crate) fn run(repository: &Repository, name: &str, ascii: bool) -> Result<bool, Stop> {
    let files = repository.across_crates("tests/timelines", "json");
    let name = &repository.on_page(name, &files);
    let Some((_, _, path)) = files.iter().find(|(_, its, _)| its == name) else {
        return Err(unknown("timeline", name, files.into_iter().map(|(_, name, _)| name)));
    };
    let text = fs::read(path).map_err(Stop::cannot(format_args!("read {}", path.display())))?;
    let broken = |why: &dyn std::fmt::Display| {
        Stop::because(format!("{} is damaged ({why}): `git checkout` brings it back", path.display()))
    };
    let value: Value = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    let traces = value.as_array().ok_or_else(|| broken(&"no array"))?;
    let traces: Vec<Trace> =
        traces.iter().map(Trace::from_json).collect::<Result<_, _>>().map_err(|error| broken(&error))?;
    let style = Style::of_stdout();
    let options =
        Terminal { width: style.width, unicode: style.unicode && !ascii, colour: style.colour && !ascii };
    say(draw::terminals(&traces, options).trim_end())?;
    Ok(true)
}
