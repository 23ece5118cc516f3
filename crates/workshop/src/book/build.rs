use super::{Error, Result, preprocessor};
use mdbook_driver::{MDBook, book::Book};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use std::{
    path::{Path, PathBuf},
    sync::Once,
};

/// What the book is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// `docs/book`: to be opened as files, or to be published.
    Files,
    /// A folder of the server's own, with the script that loads the page again after a change.
    Server,
}

/// The script that only the server's pages carry. On a page opened as a file it would ask for what is not there.
const RELOAD: &str = "theme/reload.js";

/// Builds the book and gives the folder of its pages.
pub(super) fn build(workspace: &Path, target: Target) -> Result<PathBuf> {
    report();
    let shown = |error: mdbook_driver::errors::Error| Error::new(format!("{error:#}"));
    let mut book = MDBook::load(workspace.join("docs")).map_err(shown)?;
    if target == Target::Server {
        book.config.build.build_dir = workspace.join("target/book-served");
        let scripts = "output.html.additional-js";
        let mut all: Vec<String> = book.config.get(scripts).map_err(shown)?.unwrap_or_default();
        all.push(RELOAD.to_owned());
        book.config.set(scripts, all).map_err(shown)?;
    }
    // Takes the place of the command of the same name in book.toml.
    book.with_preprocessor(Timelines);
    book.build().map_err(shown)?;
    Ok(book.build_dir_for("html"))
}

/// The directives as a preprocessor that runs in this process.
struct Timelines;

impl Preprocessor for Timelines {
    fn name(&self) -> &str {
        "timelines"
    }

    fn run(&self, context: &PreprocessorContext, book: Book) -> mdbook_driver::errors::Result<Book> {
        let mut value = serde_json::to_value(book)?;
        preprocessor::expand(&context.root, &mut value)?;
        Ok(serde_json::from_value(value)?)
    }
}

/// Prints mdBook's warnings.
fn report() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .without_time()
            .init();
    });
}
