//! The verdict on `exercise.rs`: `cargo test -p resources --test lifespan`, or `cargo run -- check lifespan`.
#![allow(
    unreachable_pub,
    unused_extern_crates,
    dead_code,
    clippy::todo,
    reason = "the answer is public in the file that a learner writes, and need not use all it has"
)]

// An answer may call it by the name of the facade, of which it is the larger part.
extern crate futures_util as futures;

mod check;
mod exercise;

fn main() -> std::process::ExitCode {
    testing::judge("lifespan", || check::check(check::answer!(exercise)))
}
