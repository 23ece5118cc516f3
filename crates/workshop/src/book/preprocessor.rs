use super::{
    Error, Result,
    directives::{Chapter, Expander},
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    path::Path,
};

/// mdBook's protocol: `[context, book]` comes in as JSON, the book goes out.
pub(super) fn pipe(input: impl Read, mut output: impl Write) -> Result<()> {
    let message: Value =
        serde_json::from_reader(input).map_err(|error| Error::new(format!("not mdBook's JSON: {error}")))?;
    let Value::Array(parts) = message else {
        return Err(Error::new("not mdBook's JSON: no list"));
    };
    let [context, mut book] = <[Value; 2]>::try_from(parts)
        .map_err(|_| Error::new("not mdBook's JSON: not a context and a book"))?;
    let docs =
        context["root"].as_str().ok_or_else(|| Error::new("mdBook does not name the book's folder"))?;
    expand(Path::new(docs), &mut book)?;
    writeln!(output, "{book}").map_err(|error| Error::new(format!("cannot answer mdBook: {error}")))
}

/// Expands the directives in each chapter of the book in the folder `docs`.
pub(super) fn expand(docs: &Path, book: &mut Value) -> Result<()> {
    // `docs` may be `.`: its parent is asked for by name, not by cutting the path.
    let mut expander = Expander::new(docs.join(".."));
    let items = book["items"].as_array_mut().ok_or_else(|| Error::new("the book needs mdBook 0.5"))?;
    items.iter_mut().try_for_each(|item| expand_item(&mut expander, item))
}

fn expand_item(expander: &mut Expander, item: &mut Value) -> Result<()> {
    let Some(chapter) = item.get_mut("Chapter") else {
        // A separator or the title of a part.
        return Ok(());
    };
    let place = Chapter {
        name: chapter["name"].as_str().unwrap_or_default(),
        path: chapter["source_path"].as_str().map(Path::new),
    };
    let text = expander.expand(&place, chapter["content"].as_str().unwrap_or_default())?;
    chapter["content"] = Value::from(text);
    match chapter["sub_items"].as_array_mut() {
        Some(items) => items.iter_mut().try_for_each(|item| expand_item(expander, item)),
        None => Ok(()),
    }
}
