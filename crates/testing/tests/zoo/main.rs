//! The bug zoo: small programs with a bug each, and their corrected twins, given to every detector that there is. Which
//! finds what stands in `matrix.md`, and in the book.
//!
//! `<name>/bug.rs` has the bug that its first line describes, `<name>/fixed.rs` the cure. `<name>/world.rs` is what both
//! work on, with what tests ask of it: `after`, an ordinary assertion at the end; `proof`, an exact one; `invariant`, what
//! must hold wherever the program was dropped. Programs that the compiler rejects have no world, and are not run.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::await_holding_lock,
    clippy::await_holding_refcell_ref,
    clippy::let_underscore_future,
    clippy::let_underscore_lock,
    clippy::async_yields_async,
    clippy::large_futures,
    clippy::unused_async,
    clippy::unwrap_used,
    let_underscore_drop,
    unused,
    unreachable_pub,
    reason = "the bugs are what is exhibited; lints.rs asks what the lints say of them"
)]

mod exam;
mod lints;
mod matrix;

// The modules, the entries below and the folders: a test compares them.
mod aborted_and_not_awaited;
mod blocking_driver;
mod blocking_read;
mod blocking_sleep;
#[cfg(any())]
mod borrowed_watch;
mod buffered_stall;
mod burst_of_ticks;
mod cancelled_transaction;
#[cfg(any())]
mod cell_across_await;
mod charged_twice;
mod computing_in_a_task;
mod detached_in_drop;
mod everything_at_once;
mod first_waker_kept;
mod forgotten_await;
mod futurelock;
#[cfg(any())]
mod guard_across_await;
mod half_a_frame;
mod half_a_transfer;
mod in_progress_for_ever;
mod leaked_by_timeout;
mod lock_held_across_a_call_back;
mod locks_in_two_orders;
mod losers_run_on;
mod lost_notification;
mod lost_update;
mod named_but_never_awaited;
mod nested_acquire;
mod nested_runtime;
mod off_by_one;
mod one_after_another;
mod permit_dropped_at_once;
mod permit_left_behind;
#[cfg(any())]
mod rc_across_await;
mod select_loses_a_message;
mod sender_kept;
mod shutdown_drops_the_queue;
mod siblings_cancelled_half_way;
mod spawned_future_of_a_future;
mod spins_until_ready;
mod starved_by_bias;
mod stream_not_closed;
mod swallowed_errors;
mod swallowed_panic;
mod timeout_for_each_attempt;
mod timeout_on_the_first_step;
mod unbounded_queue;
mod unread_join_error;
mod waits_for_its_own_thread;
mod waker_not_kept;
mod wakes_itself;

/// Makes the function `entry` of a program from the modules `bug`, `fixed` and `world` beside it; in parentheses, what its
/// world has to ask beyond `after`, and `slow` for a program that takes real time.
#[macro_export]
macro_rules! entry {
    ($($asks:ident),*) => {
        pub(crate) fn entry() -> crate::matrix::Entry {
            macro_rules! subject {
                ($program:ident) => {{
                    #[allow(unused_mut, reason = "a world may have nothing more to ask")]
                    let mut subject = crate::exam::Subject {
                        world: world::world,
                        program: |world, n| Box::pin($program::program(world, n)),
                        after: world::after,
                        proof: None,
                        invariant: None,
                        at_once: world::AT_ONCE,
                        seeds: 300,
                    };
                    $(crate::ask!(subject, $asks);)*
                    Box::new(move || subject.examine())
                }};
            }
            crate::matrix::Entry {
                name: module_path!().rsplit("::").next().unwrap_or_default(),
                about: include_str!("bug.rs"),
                exams: Some([subject!(bug), subject!(fixed)]),
            }
        }
    };
}

/// Puts one more question of a world into its subject.
#[macro_export]
macro_rules! ask {
    ($subject:ident, proof) => {
        $subject.proof = Some(world::proof);
    };
    ($subject:ident, invariant) => {
        $subject.invariant = Some(|world| Box::pin(world::invariant(world)));
    };
    ($subject:ident, slow) => {
        $subject.seeds = 3;
    };
}

/// All entries, in the order of the matrix.
fn entries() -> Vec<matrix::Entry> {
    vec![
        aborted_and_not_awaited::entry(),
        blocking_driver::entry(),
        blocking_read::entry(),
        blocking_sleep::entry(),
        matrix::Entry::rejected("borrowed_watch", include_str!("borrowed_watch/bug.rs")),
        buffered_stall::entry(),
        burst_of_ticks::entry(),
        cancelled_transaction::entry(),
        matrix::Entry::rejected("cell_across_await", include_str!("cell_across_await/bug.rs")),
        charged_twice::entry(),
        computing_in_a_task::entry(),
        detached_in_drop::entry(),
        everything_at_once::entry(),
        first_waker_kept::entry(),
        forgotten_await::entry(),
        futurelock::entry(),
        matrix::Entry::rejected("guard_across_await", include_str!("guard_across_await/bug.rs")),
        half_a_frame::entry(),
        half_a_transfer::entry(),
        in_progress_for_ever::entry(),
        leaked_by_timeout::entry(),
        lock_held_across_a_call_back::entry(),
        locks_in_two_orders::entry(),
        losers_run_on::entry(),
        lost_notification::entry(),
        lost_update::entry(),
        named_but_never_awaited::entry(),
        nested_acquire::entry(),
        nested_runtime::entry(),
        off_by_one::entry(),
        one_after_another::entry(),
        permit_dropped_at_once::entry(),
        permit_left_behind::entry(),
        matrix::Entry::rejected("rc_across_await", include_str!("rc_across_await/bug.rs")),
        select_loses_a_message::entry(),
        sender_kept::entry(),
        shutdown_drops_the_queue::entry(),
        siblings_cancelled_half_way::entry(),
        spawned_future_of_a_future::entry(),
        spins_until_ready::entry(),
        starved_by_bias::entry(),
        stream_not_closed::entry(),
        swallowed_errors::entry(),
        swallowed_panic::entry(),
        timeout_for_each_attempt::entry(),
        timeout_on_the_first_step::entry(),
        unbounded_queue::entry(),
        unread_join_error::entry(),
        waits_for_its_own_thread::entry(),
        waker_not_kept::entry(),
        wakes_itself::entry(),
    ]
}
