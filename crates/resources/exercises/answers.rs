//! The checks are checked: each stub is still to do, each solution passes, each wrong answer breaks its rule.
#![allow(
    unreachable_pub,
    unused_extern_crates,
    clippy::disallowed_methods,
    clippy::let_underscore_future,
    clippy::unused_async,
    clippy::unwrap_used,
    clippy::todo,
    let_underscore_drop,
    reason = "answers are public in the file that a learner writes, and wrong ones do what one should not"
)]

// As in each exercise's main.rs: an answer may call it by the name of the facade.
extern crate futures_util as futures;

mod connect;
mod database;
mod exit_stack;
mod http_client;
mod lifespan;
mod pool;
mod scope;
mod transaction;
