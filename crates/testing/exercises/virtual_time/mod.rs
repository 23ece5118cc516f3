mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod always_down;
    pub(super) mod any_error;
    pub(super) mod at_least_three_calls;
    pub(super) mod between_the_calls_only;
    pub(super) mod indexes_what_is_not_there;
    pub(super) mod no_jitter;
    pub(super) mod one_jump;
    pub(super) mod only_errors_that_pass;
    pub(super) mod shorter_pauses;
    pub(super) mod std_clock_upper_bound;
    pub(super) mod tolerances_kept;
    pub(super) mod total_only;
}

testing::prove_exercise!(virtual_time, stub_breaks: "accepts", wrong: [
    always_down,
    any_error,
    at_least_three_calls,
    between_the_calls_only,
    indexes_what_is_not_there,
    no_jitter,
    one_jump,
    only_errors_that_pass,
    shorter_pauses,
    std_clock_upper_bound,
    tolerances_kept,
    total_only,
]);
