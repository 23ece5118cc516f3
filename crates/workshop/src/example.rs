use crate::{
    repository::{Repository, unknown},
    stop::Stop,
    style::Style,
};
use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal as _},
    process::Command,
};

/// The crate that has this example.
pub(crate) fn find(repository: &Repository, name: &str) -> Result<String, Stop> {
    let files = repository.across_crates("examples", "rs");
    match files.iter().find(|(_, its, _)| its == name) {
        Some((krate, _, _)) => Ok(krate.clone()),
        None => Err(unknown("example", name, files.into_iter().map(|(_, name, _)| name))),
    }
}

/// cargo, and its arguments to run an example.
pub(crate) fn command(krate: &str, name: &str) -> (OsString, Vec<OsString>) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let args = ["run", "--package", krate, "--example", name];
    (cargo, args.iter().map(OsString::from).collect())
}

/// `workshop run EXAMPLE`.
pub(crate) fn run(repository: &Repository, name: &str) -> Result<bool, Stop> {
    let name = &repository.on_page(name, &repository.across_crates("examples", "rs"));
    let krate = find(repository, name)?;
    let (cargo, args) = command(&krate, name);
    let mut command = Command::new(cargo);
    // An example that draws is to fill the terminal; a shell need not hand on how wide that is.
    if io::stdout().is_terminal() {
        command.env("COLUMNS", Style::of_stdout().width.to_string());
    }
    let status = command
        .args(args)
        .current_dir(&repository.root)
        .status()
        .map_err(Stop::cannot("start cargo (install Rust from https://rustup.rs)"))?;
    Ok(status.success())
}
