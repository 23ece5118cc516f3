//! What has to be given back: on success, on an error, on a panic, and when the caller is gone.
//!
//! What one borrows:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//!
//! What one opens and closes:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//!
//! What talks to the outside:
//!
//! | pattern | for | when the caller is dropped | what comes back |
//! |---|---|---|---|
//!
//! Each pattern is one file, or one with a folder, that can be read, or copied, on its own; [`CloseError`] is what they
//! share, and the detection of nested use.

mod close;
mod nesting;

pub use close::CloseError;
