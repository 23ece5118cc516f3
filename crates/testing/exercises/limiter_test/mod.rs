mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod clocks_that_start_early;
    pub(super) mod counts_calls;
    pub(super) mod equal_times;
    pub(super) mod fewer_jobs_than_the_limit;
    pub(super) mod jobs_that_never_wait;
    pub(super) mod last_group_never_complete;
    pub(super) mod lower_bound_only;
    pub(super) mod never_awaited;
    pub(super) mod one_limit;
    pub(super) mod real_time;
    pub(super) mod rejects_everything;
    pub(super) mod subtracts_below_zero;
    pub(super) mod time_with_a_tolerance;
    pub(super) mod upper_bound_only;
}

testing::prove_exercise!(limiter_test, wrong: [
    clocks_that_start_early,
    counts_calls,
    equal_times,
    fewer_jobs_than_the_limit,
    jobs_that_never_wait,
    last_group_never_complete,
    lower_bound_only,
    never_awaited,
    one_limit,
    real_time,
    rejects_everything,
    subtracts_below_zero,
    time_with_a_tolerance,
    upper_bound_only,
]);
