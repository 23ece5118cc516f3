//! What each pattern promises, a promise a test. One binary for all: linking is what costs the time.

mod bounded;
mod gather;
mod join;
mod shared_state;
mod queue;
mod task_group;
mod timeout;
