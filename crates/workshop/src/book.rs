//! The book: its directives, its recorded outputs, and (with the feature `book`) its build and its server.
//!
//! | module | what is in it |
//! |---|---|
//! | `directives` | `{{#timeline ...}}` and its like, expanded in the text of a chapter |
//! | `excerpt` | the part of a source file that a page shows |
//! | `figure` | recorded timelines as figures |
//! | `exercise` | an exercise's README as a box |
//! | `terminal` | a recorded output as a terminal |
//! | `preprocessor` | mdBook's protocol around `directives`, for the stock `mdbook` as for our own build |
//! | `record` | the recorded outputs, made again and compared |
//! | `build`, `serve` | mdBook as a library, and a server on loopback |

#[cfg(feature = "book")]
mod build;
mod directives;
mod excerpt;
mod exercise;
mod figure;
mod preprocessor;
mod record;
#[cfg(feature = "book")]
mod serve;
mod terminal;

use crate::stop::Stop;
use std::{fmt, path::Path, process::ExitCode};

const USAGE: &str = "\
usage: cargo run -p workshop --features book -- book [COMMAND]

  (none)           build the book into docs/book
  serve            build it, serve it on this machine only, and build again on every change
  serve --port N   the same on port N
  record           make the recorded outputs in docs/src again
  record --check   fail if a recorded output differs from what the program says now
";

/// What stopped the book, in one sentence.
#[derive(Debug)]
struct Error(String);

impl Error {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

/// `workshop book ...`, in the folder that holds `crates` and `docs`.
pub(crate) fn command(workspace: &Path, args: &[String]) -> std::result::Result<(), Stop> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [] => build(workspace),
        ["serve"] => serve(workspace, None),
        ["serve", "--port", port] => match port.parse() {
            Ok(port) => serve(workspace, Some(port)),
            Err(_) => Err(Error::new(format!("{port:?} is not a port"))),
        },
        ["record"] => record::write(workspace),
        ["record", "--check"] => record::check(workspace),
        _ => Err(Error::new(USAGE)),
    };
    done.map_err(|error| Stop::because(error.to_string()))
}

/// `workshop preprocess ...`: what the stock `mdbook` calls.
pub(crate) fn preprocess(args: &[String]) -> ExitCode {
    match args {
        [supports, renderer] if supports == "supports" => ExitCode::from(u8::from(renderer != "html")),
        _ => match preprocessor::pipe(std::io::stdin(), std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

#[cfg(feature = "book")]
fn build(workspace: &Path) -> Result<()> {
    let begun = std::time::Instant::now();
    let folder = build::build(workspace, build::Target::Files)?;
    println!("built in {:.1} s: open {}", begun.elapsed().as_secs_f64(), folder.join("index.html").display());
    Ok(())
}

#[cfg(feature = "book")]
fn serve(workspace: &Path, port: Option<u16>) -> Result<()> {
    serve::serve(workspace, port)
}

#[cfg(not(feature = "book"))]
fn build(_workspace: &Path) -> Result<()> {
    Err(without_feature(""))
}

#[cfg(not(feature = "book"))]
fn serve(_workspace: &Path, _port: Option<u16>) -> Result<()> {
    Err(without_feature(" serve"))
}

/// The light program cannot build the book: it says what can.
#[cfg(not(feature = "book"))]
fn without_feature(command: &str) -> Error {
    Error::new(format!(
        "this build of the workshop leaves the book out, to start faster; run\n\n    \
         cargo run -p workshop --features book -- book{command}\n\n\
         (the first time takes a minute or two to compile), or `mdbook build docs` if you have mdBook 0.5"
    ))
}
