mod check;
mod solution;
mod stub;
mod wrong {
    // Each answer says `use super::check::LoadError`, here as in the learner's file.
    use super::check;

    pub(super) mod all_at_once;
    pub(super) mod always_the_total;
    pub(super) mod call_in_a_task;
    pub(super) mod clock_outside_the_task;
    pub(super) mod each_alone;
    pub(super) mod every_timeout_is_ours;
    pub(super) mod fresh_total_for_each_call;
    pub(super) mod handle_timed_out;
    pub(super) mod select_at_random;
    pub(super) mod select_restarts_the_clock;
    pub(super) mod the_inner_one_wins;
    pub(super) mod timeout_around_the_loop;
    pub(super) mod total_alone;
    pub(super) mod zero_is_polled_once;
}

testing::prove_exercise!(timeout, wrong: [
    all_at_once,
    always_the_total,
    call_in_a_task,
    clock_outside_the_task,
    each_alone,
    every_timeout_is_ours,
    fresh_total_for_each_call,
    handle_timed_out,
    select_at_random,
    select_restarts_the_clock,
    the_inner_one_wins,
    timeout_around_the_loop,
    total_alone,
    zero_is_polled_once,
]);
