mod check;
mod solution;
mod stub;
mod wrong {
    // Each answer says `use super::check::PageError`, here as in the learner's file.
    use super::check;

    pub(super) mod a_client_for_each_call;
    pub(super) mod a_queue_for_each_id;
    pub(super) mod all_at_once;
    pub(super) mod body_before_status;
    pub(super) mod chunk_by_chunk;
    pub(super) mod completion_order;
    pub(super) mod detached;
    pub(super) mod drops_what_is_in_flight;
    pub(super) mod errors_begin_at_400;
    pub(super) mod every_error_a_timeout;
    pub(super) mod failures_as_text;
    pub(super) mod failures_in_a_row;
    pub(super) mod fills_the_place_first;
    pub(super) mod first_error_ends_it;
    pub(super) mod keyed_by_id;
    pub(super) mod never_gives_up;
    pub(super) mod one_failure_too_many;
    pub(super) mod only_200;
    pub(super) mod panic_as_an_error;
    pub(super) mod panics_do_not_count;
    pub(super) mod parses_a_float;
    pub(super) mod status_forgotten;
    pub(super) mod the_rest_left_out;
    pub(super) mod unwraps_the_join;
}

testing::prove_exercise!(partial, wrong: [
    a_client_for_each_call,
    a_queue_for_each_id,
    all_at_once,
    body_before_status,
    chunk_by_chunk,
    completion_order,
    detached,
    drops_what_is_in_flight,
    errors_begin_at_400,
    every_error_a_timeout,
    failures_as_text,
    failures_in_a_row,
    fills_the_place_first,
    first_error_ends_it,
    keyed_by_id,
    never_gives_up,
    one_failure_too_many,
    only_200,
    panic_as_an_error,
    panics_do_not_count,
    parses_a_float,
    status_forgotten,
    the_rest_left_out,
    unwraps_the_join,
]);
