//! The learner's program.

mod book;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((command, rest)) if command == "book" => {
            let here = std::env::current_dir().unwrap_or_default();
            let root = here.ancestors().find(|folder| folder.join("docs/book.toml").is_file());
            book::command(root.unwrap_or(&here), rest)
        }
        Some((command, rest)) if command == "preprocess" => book::preprocess(rest),
        _ => {
            eprintln!("usage: workshop book ...");
            ExitCode::from(2)
        }
    }
}
