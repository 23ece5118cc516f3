//! What each pattern promises, a promise a test. One binary for all: linking is what costs the time.

mod background;
mod blocking;
mod bounded;
mod cancel;
mod deadlock;
mod first;
mod gather;
mod join;
mod partial;
mod queue;
mod rate_limit;
mod retry;
mod select;
mod settled;
mod shared_state;
mod task_group;
mod timeout;
