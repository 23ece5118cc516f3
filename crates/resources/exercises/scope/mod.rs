#![allow(dead_code, unused_variables, reason = "the stub names what an answer is given")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_failed_closing_is_success;
    pub(super) mod a_moment_without_a_task;
    pub(super) mod a_panic_becomes_an_error;
    pub(super) mod a_panic_does_not_wait;
    pub(super) mod a_panicking_close_goes_through;
    pub(super) mod an_opening_is_given_up;
    pub(super) mod calls_it_outside;
    pub(super) mod closes_after_the_question_mark;
    pub(super) mod closes_in_the_caller;
    pub(super) mod closes_the_tracker;
    pub(super) mod closes_without_a_bound;
    pub(super) mod nobody_awaits_the_closing;
    pub(super) mod not_while_panicking;
    pub(super) mod one_closing_at_a_time;
    pub(super) mod one_error_hides_the_other;
    pub(super) mod opens_in_the_caller;
    pub(super) mod sent_to_nobody;
    pub(super) mod spawned_in_drop;
    pub(super) mod the_bound_around_the_wait;
    pub(super) mod the_callers_deadline;
    pub(super) mod the_closing_is_aborted;
    pub(super) mod the_opening_is_aborted;
    pub(super) mod the_task_gives_the_session;
    pub(super) mod unwraps_the_payload;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(|server, name, tasks| $($module)::+::with_session(server, name, tasks, check::ask))
    };
}

testing::prove_exercise!(scope, judged: judged, wrong: [
    a_failed_closing_is_success,
    a_moment_without_a_task,
    a_panic_becomes_an_error,
    a_panic_does_not_wait,
    a_panicking_close_goes_through,
    an_opening_is_given_up,
    calls_it_outside,
    closes_after_the_question_mark,
    closes_in_the_caller,
    closes_the_tracker,
    closes_without_a_bound,
    nobody_awaits_the_closing,
    not_while_panicking,
    one_closing_at_a_time,
    one_error_hides_the_other,
    opens_in_the_caller,
    sent_to_nobody,
    spawned_in_drop,
    the_bound_around_the_wait,
    the_callers_deadline,
    the_closing_is_aborted,
    the_opening_is_aborted,
    the_task_gives_the_session,
    unwraps_the_payload,
]);
