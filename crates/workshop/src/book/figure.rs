use super::{Error, Result, directives::escape};
use common::{
    Trace,
    draw::{self, Svg},
};
use std::fmt::Write as _;

/// One figure for each recorded timeline, all on the scale of the longest: a wrong way that takes four times as long is
/// to look four times as long.
pub(super) fn figures(recorded: &str, id: &str) -> Result<String> {
    let traces = traces(recorded)?;
    let until = traces.iter().map(Trace::end).max();
    let mut out = String::new();
    for (n, trace) in (1..).zip(&traces) {
        let svg = draw::svg(trace, Svg { id: &format!("{id}-{n}"), until });
        let title = escape(&trace.title);
        // The drawing is wider than a telephone: it scrolls in a region of its own, which the keyboard can reach.
        write!(
            out,
            "\n<figure class=\"timeline\">\n\
             <figcaption>{title}</figcaption>\n\
             <div class=\"timeline-scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Timeline: {title}\">{svg}</div>\n\
             <details><summary>The same in words</summary>\n\
             <pre>{}</pre>\n\
             </details>\n\
             </figure>\n",
            escape(draw::words(trace).trim_end())
        )
        .map_err(|_| Error::new("cannot write the figure"))?;
    }
    out.push('\n');
    Ok(out)
}

/// The first recorded timeline as a terminal shows it.
pub(super) fn terminal(recorded: &str) -> Result<String> {
    let traces = traces(recorded)?;
    let trace = traces.first().ok_or_else(|| Error::new("no recorded timeline"))?;
    let drawn = draw::terminal(trace, draw::Terminal::default());
    Ok(format!(
        "\n<figure class=\"terminal\">\n\
         <figcaption>In a terminal of 80 columns</figcaption>\n\
         <pre>{}</pre>\n\
         </figure>\n\n",
        escape(drawn.trim_end())
    ))
}

fn traces(recorded: &str) -> Result<Vec<Trace>> {
    let value: serde_json::Value =
        serde_json::from_str(recorded).map_err(|error| Error::new(format!("not JSON: {error}")))?;
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Error::new("not a list of recorded timelines"))?;
    list.iter().map(|trace| Trace::from_json(trace).map_err(|error| Error::new(error.to_string()))).collect()
}
