#![allow(dead_code, reason = "an answer need not read all that a part has")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_limit_each_and_none_for_all;
    pub(super) mod a_timeout_is_no_abort;
    pub(super) mod aborted_because_its_turn_came_late;
    pub(super) mod aborted_or_finished;
    pub(super) mod aborts_everything;
    pub(super) mod all_at_once;
    pub(super) mod deaf_to_the_second_signal;
    pub(super) mod dropped_and_nobody_owns_them;
    pub(super) mod finished_because_it_is_gone;
    pub(super) mod lets_go_at_the_end;
    pub(super) mod one_abort_for_each_signal;
    pub(super) mod shares_of_the_grace;
    pub(super) mod sleeps_five_seconds;
    pub(super) mod stops_in_the_background;
    pub(super) mod the_next_before_it_has_gone;
    pub(super) mod the_pool_first;
    pub(super) mod unwraps_the_panic;
    pub(super) mod waits_for_an_open_tracker;
    pub(super) mod waits_for_the_stuck;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::answer!($($module)::+))
    };
}

testing::prove_exercise!(lifespan, judged: judged, wrong: [
    a_limit_each_and_none_for_all,
    a_timeout_is_no_abort,
    aborted_because_its_turn_came_late,
    aborted_or_finished,
    aborts_everything,
    all_at_once,
    deaf_to_the_second_signal,
    dropped_and_nobody_owns_them,
    finished_because_it_is_gone,
    lets_go_at_the_end,
    one_abort_for_each_signal,
    shares_of_the_grace,
    sleeps_five_seconds,
    stops_in_the_background,
    the_next_before_it_has_gone,
    the_pool_first,
    unwraps_the_panic,
    waits_for_an_open_tracker,
    waits_for_the_stuck,
]);
