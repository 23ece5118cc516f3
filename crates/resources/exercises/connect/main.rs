//! The verdict on `exercise.rs`: `cargo test -p resources --test connect`, or `cargo run -- check connect`.
#![allow(
    unreachable_pub,
    unused_extern_crates,
    dead_code,
    clippy::todo,
    clippy::unused_async,
    reason = "the answer is public in the file that a learner writes, and need not use all it has"
)]

// An answer may call it by the name of the facade, of which it is the larger part.
extern crate futures_util as futures;

mod check;
mod exercise;

fn main() -> std::process::ExitCode {
    testing::judge("connect", || check::check(check::connects!(exercise)))
}
