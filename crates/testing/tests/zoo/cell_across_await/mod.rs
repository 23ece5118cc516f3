// Not compiled here: see `lints.rs`.
mod bug;
mod fixed;
