#![allow(dead_code, reason = "the fields of the stub are what an answer may use")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_panic_becomes_an_error;
    pub(super) mod a_panic_takes_it_all;
    pub(super) mod aborts_the_task;
    pub(super) mod all_steps_at_once;
    pub(super) mod closed_in_the_caller;
    pub(super) mod closes_all_at_once;
    pub(super) mod closes_in_the_order_of_opening;
    pub(super) mod first_step_unchecked;
    pub(super) mod in_the_error_path;
    pub(super) mod left_to_the_handle;
    pub(super) mod lost_in_the_channel;
    pub(super) mod new_panic;
    pub(super) mod nobody_owns_it;
    pub(super) mod not_the_one_in_hand;
    pub(super) mod opens_for_nobody;
    pub(super) mod stops_where_closing_fails;
    pub(super) mod the_error_comes_first;
    pub(super) mod the_last_error_wins;
    pub(super) mod the_one_in_hand_is_given_up;
    pub(super) mod the_question_mark;
    pub(super) mod undone_in_the_caller;
    pub(super) mod undone_without_a_word;
    pub(super) mod unwraps_the_join_error;
    pub(super) mod without_a_destructor;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::connects!($($module)::+))
    };
}

testing::prove_exercise!(connect, judged: judged, wrong: [
    a_panic_becomes_an_error,
    a_panic_takes_it_all,
    aborts_the_task,
    all_steps_at_once,
    closed_in_the_caller,
    closes_all_at_once,
    closes_in_the_order_of_opening,
    first_step_unchecked,
    in_the_error_path,
    left_to_the_handle,
    lost_in_the_channel,
    new_panic,
    nobody_owns_it,
    not_the_one_in_hand,
    opens_for_nobody,
    stops_where_closing_fails,
    the_error_comes_first,
    the_last_error_wins,
    the_one_in_hand_is_given_up,
    the_question_mark,
    undone_in_the_caller,
    undone_without_a_word,
    unwraps_the_join_error,
    without_a_destructor,
]);
