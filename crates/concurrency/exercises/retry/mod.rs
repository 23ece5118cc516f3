mod check;
mod solution;
mod stub;
mod wrong {
    // Each answer says `use super::check::{..}`, here as in the learner's file.
    use super::check;

    pub(super) mod a_key_for_each_attempt;
    pub(super) mod a_redirect_is_a_success;
    pub(super) mod a_timeout_for_each_attempt;
    pub(super) mod all_from_500_on_may_pass;
    pub(super) mod all_or_nothing;
    pub(super) mod any_response_is_a_success;
    pub(super) mod doubled_without_jitter;
    pub(super) mod doubles_until_it_overflows;
    pub(super) mod fixed_pauses;
    pub(super) mod half_a_jitter;
    pub(super) mod half_of_them_at_the_ceiling;
    pub(super) mod ignores_retry_after;
    pub(super) mod never_repeats_an_order;
    pub(super) mod no_jitter_after_retry_after;
    pub(super) mod no_limit_for_an_attempt;
    pub(super) mod no_longest_pause;
    pub(super) mod one_attempt_too_few;
    pub(super) mod one_attempt_too_many;
    pub(super) mod one_draw_for_all_pauses;
    pub(super) mod only_404_is_final;
    pub(super) mod pauses_after_the_last;
    pub(super) mod pauses_do_not_grow;
    pub(super) mod repeats_an_order;
    pub(super) mod retry_after_of_503_only;
    pub(super) mod sleeps_towards_the_limit;
    pub(super) mod takes_a_broken_connection_for_a_refusal;
    pub(super) mod takes_a_timeout_for_a_refusal;
    pub(super) mod task_left_behind;
    pub(super) mod the_last_attempt_gets_its_full_time;
    pub(super) mod the_last_failure_only;
    pub(super) mod tries_everything_again;
}

testing::prove_exercise!(retry, wrong: [
    a_key_for_each_attempt,
    a_redirect_is_a_success,
    a_timeout_for_each_attempt,
    all_from_500_on_may_pass,
    all_or_nothing,
    any_response_is_a_success,
    doubled_without_jitter,
    doubles_until_it_overflows,
    fixed_pauses,
    half_a_jitter,
    half_of_them_at_the_ceiling,
    ignores_retry_after,
    never_repeats_an_order,
    no_jitter_after_retry_after,
    no_limit_for_an_attempt,
    no_longest_pause,
    one_attempt_too_few,
    one_attempt_too_many,
    one_draw_for_all_pauses,
    only_404_is_final,
    pauses_after_the_last,
    pauses_do_not_grow,
    repeats_an_order,
    retry_after_of_503_only,
    sleeps_towards_the_limit,
    takes_a_broken_connection_for_a_refusal,
    takes_a_timeout_for_a_refusal,
    task_left_behind,
    the_last_attempt_gets_its_full_time,
    the_last_failure_only,
    tries_everything_again,
]);
