#![allow(dead_code, reason = "the fields and constants of the stub are what an answer may use")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_limit_around_the_loop;
    pub(super) mod a_new_limit_after_the_drop;
    pub(super) mod a_panic_is_no_failure;
    pub(super) mod a_panic_stops_the_rest;
    pub(super) mod a_task_for_each_when_dropped;
    pub(super) mod a_task_outlives_its_limit;
    pub(super) mod all_at_once;
    pub(super) mod closes_the_tracker;
    pub(super) mod drops_the_one_in_hand;
    pub(super) mod first_in_first_out;
    pub(super) mod nobody_owns_it;
    pub(super) mod not_while_shutting_down;
    pub(super) mod one_limit_for_all;
    pub(super) mod one_stack_at_a_time;
    pub(super) mod only_when_close_is_called;
    pub(super) mod stops_at_the_first_error;
    pub(super) mod the_last_error_only;
    pub(super) mod the_lines_after_the_await;
    pub(super) mod told_in_the_order_of_the_pushes;
    pub(super) mod unwraps_the_payload;
    pub(super) mod without_a_limit;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::stacks!($($module)::+))
    };
}

testing::prove_exercise!(exit_stack, judged: judged, wrong: [
    a_limit_around_the_loop,
    a_new_limit_after_the_drop,
    a_panic_is_no_failure,
    a_panic_stops_the_rest,
    a_task_for_each_when_dropped,
    a_task_outlives_its_limit,
    all_at_once,
    closes_the_tracker,
    drops_the_one_in_hand,
    first_in_first_out,
    nobody_owns_it,
    not_while_shutting_down,
    one_limit_for_all,
    one_stack_at_a_time,
    only_when_close_is_called,
    stops_at_the_first_error,
    the_last_error_only,
    the_lines_after_the_await,
    told_in_the_order_of_the_pushes,
    unwraps_the_payload,
    without_a_limit,
]);
