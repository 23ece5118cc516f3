//! The learner's program.
//!
//! | module | what is in it |
//! |---|---|
//! | `cli` | the commands and their help |
//! | `course`, `repository`, `readme` | which exercises there are, where they lie, what they ask |
//! | `answer`, `compile`, `judge` | an answer staged as a package of its own, built, run and judged |
//! | `seed` | a head start for the first build |
//! | `guard`, `process` | programs that leave nothing behind, however the workshop itself ends |
//! | `cache`, `progress` | what is solved follows from the files; the cache only saves time |
//! | `style`, `text`, `report` | what the terminal can show, wrapping, a verdict as lines |
//! | `watch`, `screen`, `state` | the watch screen: input and output, the picture, what it is a picture of |
//! | the others | one command each |

mod answer;
mod book;
mod cache;
mod check;
mod cli;
mod compile;
mod course;
mod doctor;
mod example;
mod grade;
mod guard;
mod judge;
mod lesson;
mod list;
mod process;
mod progress;
mod readme;
mod report;
mod repository;
mod screen;
mod seed;
mod state;
mod stop;
mod style;
mod text;
mod timeline;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before everything else, the arguments' parsing included: the guard must be small and quick.
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|arg| arg == guard::COMMAND) {
        return guard::run(args.skip_while(|arg| arg == "--").collect());
    }
    // mdBook calls this from the folder of the book, and wants nothing else said on standard output.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "preprocess") {
        return book::preprocess(&args[1..]);
    }
    stop::exit_code(cli::run())
}
