//! What each pattern promises, a promise a test. One binary for all: linking is what costs the time.

mod gather;
mod task_group;
mod bounded;
mod timeout;
mod join;
mod partial;
mod first;
mod queue;
mod background;
mod cancel;
mod select;
mod shared_state;
mod retry;
mod rate_limit;
mod settled;
