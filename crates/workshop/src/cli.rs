use crate::{
    book, check, doctor, example, grade, lesson, list, repository::Repository, stop::Stop, timeline, watch,
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

/// Does what the arguments ask for; whether every answer asked for passes.
pub(crate) fn run() -> Result<bool, Stop> {
    let matches = command().try_get_matches()?;
    let repository = Repository::find()?;
    match matches.subcommand() {
        None if io::stdout().is_terminal() && io::stdin().is_terminal() => watch::run(&repository),
        None => list::overview(&repository),
        Some((name, matches)) => dispatch(&repository, name, matches),
    }
}

fn dispatch(repository: &Repository, command: &str, matches: &ArgMatches) -> Result<bool, Stop> {
    let name = || match matches.get_one::<String>("NAME") {
        Some(name) => Ok(name.clone()),
        None => check::current_name(repository),
    };
    let flag = |name| matches.get_flag(name);
    match command {
        "list" => list::run(repository, flag("json")),
        "check" => {
            let names: Vec<String> = matches.get_many("NAME").into_iter().flatten().cloned().collect();
            let which = match (flag("all"), names.is_empty()) {
                (true, _) => check::Which::All,
                (false, true) => check::Which::Current,
                (false, false) => check::Which::Named(names),
            };
            let answer = matches.get_one::<PathBuf>("answer");
            check::run(repository, &which, answer.map(PathBuf::as_path), flag("json"))
        }
        "grade" => {
            let folder = matches.get_one::<PathBuf>("DIR").cloned().unwrap_or_default();
            grade::run(repository, &folder, flag("json"))
        }
        "hint" => {
            let number: Option<usize> = matches.get_one("N").copied();
            // `hint 2`: no exercise is called by a number.
            match matches.get_one::<String>("NAME").and_then(|name| name.parse().ok()) {
                Some(of_current) if number.is_none() => {
                    lesson::hint(repository, &check::current_name(repository)?, of_current)
                }
                _ => lesson::hint(repository, &name()?, number.unwrap_or(1)),
            }
        }
        "solution" => lesson::solution(repository, &name()?, flag("yes")),
        "reset" => lesson::reset(repository, &name()?),
        "run" => example::run(repository, &name()?),
        "timeline" => timeline::run(repository, &name()?, flag("ascii")),
        "doctor" => doctor::run(repository),
        "book" => {
            let args: Vec<String> = matches.get_many("ARGS").into_iter().flatten().cloned().collect();
            book::command(&repository.root, &args).map(|()| true)
        }
        other => Err(Stop::because(format!("the command {other} is not known"))),
    }
}

const AFTER_HELP: &str = "\
Start with `cargo run`, open the file that it names in your editor, and save:
the screen answers at once.

Examples:
  cargo run                           the exercises, one after another
  cargo run -- check gather           one exercise, once
  cargo run -- hint                   a hint on the current exercise
  cargo run -- timeline gather        what it looks like, right and wrong
  cargo run -- check --all --json     for scripts

Exit status: 0 all is right, 1 an answer is not yet, 2 the command failed.";

const GRADE_HELP: &str = "\
DIR/LEARNER/EXERCISE.rs is the answer of one learner to one exercise. Nobody's own files are touched.

The answers run on this machine with your rights, in no sandbox: grade what you would run, or do it in a
container. A verdict keeps an answer from passing by what it prints, by how it exits and by accident, and not
one that looks for the verdict's file to forge it.

Example:
  cargo run -- grade handed-in";

/// The command line.
pub(crate) fn command() -> Command {
    let json = || {
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("One JSON object a line, for scripts")
    };
    let name = || Arg::new("NAME").help("The exercise's name, as `list` shows it [default: the current one]");
    Command::new("workshop")
        .bin_name("cargo run --")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Async Patterns in Rust: exercises that answer when you save.\nWithout a command: the watch screen.")
        .after_help(AFTER_HELP)
        .disable_help_subcommand(true)
        .subcommand(Command::new("list").about("List the exercises and what is solved").arg(json()))
        .subcommand(
            Command::new("check")
                .about("Judge answers: the current exercise, those named, or all")
                .arg(Arg::new("NAME").action(ArgAction::Append).help("Exercises, as `list` shows them"))
                .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).conflicts_with("NAME").help("All exercises"))
                .arg(json())
                .arg(
                    Arg::new("answer")
                        .long("answer")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Judge this file instead of your own; needs one NAME"),
                ),
        )
        .subcommand(
            Command::new("hint").about("Show the first hint, or the first N").arg(name()).arg(
                Arg::new("N").value_parser(value_parser!(usize)).help("How many hints [default: 1]"),
            ),
        )
        .subcommand(
            Command::new("solution").about("Show a solution; asks first while yours is not right").arg(name()).arg(
                Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Do not ask"),
            ),
        )
        .subcommand(Command::new("reset").about("Start an exercise again; your answer is kept as a backup").arg(name()))
        .subcommand(
            Command::new("run")
                .about("Run an example")
                .arg(
                    Arg::new("NAME")
                        .value_name("EXAMPLE")
                        .help("The example's name, often an exercise's [default: the current one's]"),
                ),
        )
        .subcommand(
            Command::new("timeline")
                .about("Draw what a pattern does, the right way and wrong ways")
                .arg(Arg::new("NAME").help("The pattern's name [default: the current exercise's]"))
                .arg(Arg::new("ascii").long("ascii").action(ArgAction::SetTrue).help("ASCII characters, no colours")),
        )
        .subcommand(
            Command::new("grade")
                .about("Judge the answers of a class")
                .after_help(GRADE_HELP)
                .arg(Arg::new("DIR").required(true).value_parser(value_parser!(PathBuf)).help("The folder of answers"))
                .arg(json()),
        )
        .subcommand(Command::new("doctor").about("Look for what is missing on this machine"))
        .subcommand(
            Command::new("book").about("Build and show the book").arg(
                Arg::new("ARGS")
                    .action(ArgAction::Append)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .help("Passed on to the book's builder"),
            ),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        assert!(command().try_get_matches_from(["workshop", "check", "--all", "gather"]).is_err());
        assert!(command().try_get_matches_from(["workshop", "hint"]).is_ok());
        assert!(command().try_get_matches_from(["workshop", "hint", "gather", "-1"]).is_err());
        assert!(command().try_get_matches_from(["workshop", "chekc"]).is_err());
        assert!(command().try_get_matches_from(["workshop", "book", "serve", "--open"]).is_ok());
    }
}
