//! The verdict on `exercise.rs`: `cargo test -p concurrency --test shared_state`, or `cargo run -- check shared_state`.
#![allow(
    unreachable_pub,
    unused_extern_crates,
    clippy::disallowed_methods,
    clippy::todo,
    clippy::unused_async,
    reason = "the answer is public in the file that a learner writes, `balance` need not await, and the check joins a handful"
)]

// An answer may call it by the name of the facade, of which it is the larger part.
extern crate futures_util as futures;

mod check;
mod exercise;

fn main() -> std::process::ExitCode {
    testing::judge("shared_state", || check::check(check::banks!(exercise)))
}
