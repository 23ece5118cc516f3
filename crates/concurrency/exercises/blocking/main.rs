//! The verdict on `exercise.rs`: `cargo test -p concurrency --test blocking`, or `cargo run -- check blocking`.
#![allow(
    unreachable_pub,
    unused_extern_crates,
    clippy::todo,
    clippy::unused_async,
    reason = "the answer is public in the file that a learner writes"
)]

// An answer may call it by the name of the facade, of which it is the larger part.
extern crate futures_util as futures;

mod check;
mod exercise;

fn main() -> std::process::ExitCode {
    testing::judge("blocking", || check::check(check::offloads!(exercise)))
}
