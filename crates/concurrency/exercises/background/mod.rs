mod check;
mod solution;
mod stub;
mod wrong {
    // Each answer says `use super::check::..`, here as in the learner's file.
    use super::check;

    pub(super) mod a_panic_is_the_end;
    pub(super) mod aborted_in_silence;
    pub(super) mod aborts_at_once;
    pub(super) mod audit_log_dies_of_a_panic;
    pub(super) mod audit_log_ends_at_an_error;
    pub(super) mod counts_old_failures;
    pub(super) mod errors_only;
    pub(super) mod fetches_to_catch_up;
    pub(super) mod fresh_grace_for_each;
    pub(super) mod gives_up_in_silence;
    pub(super) mod lines_cut_off;
    pub(super) mod mail_before_the_next_order;
    pub(super) mod mails_in_a_queue;
    pub(super) mod nameless;
    pub(super) mod never_gives_up;
    pub(super) mod orders_before_the_shutdown;
    pub(super) mod restarts_at_once;
    pub(super) mod same_pause_each_time;
    pub(super) mod takes_what_waits;
    pub(super) mod throws_lines_away;
    pub(super) mod told_at_the_end;
    pub(super) mod tracked_but_not_owned;
    pub(super) mod unwraps_the_join;
    pub(super) mod waits_for_ever;
    pub(super) mod waits_for_the_log;
    pub(super) mod waits_for_the_refresher;
}

testing::prove_exercise!(background, answer: serve, stub_breaks: "told", wrong: [
    a_panic_is_the_end,
    aborted_in_silence,
    aborts_at_once,
    audit_log_dies_of_a_panic,
    audit_log_ends_at_an_error,
    counts_old_failures,
    errors_only,
    fetches_to_catch_up,
    fresh_grace_for_each,
    gives_up_in_silence,
    lines_cut_off,
    mail_before_the_next_order,
    mails_in_a_queue,
    nameless,
    never_gives_up,
    orders_before_the_shutdown,
    restarts_at_once,
    same_pause_each_time,
    takes_what_waits,
    throws_lines_away,
    told_at_the_end,
    tracked_but_not_owned,
    unwraps_the_join,
    waits_for_ever,
    waits_for_the_log,
    waits_for_the_refresher,
]);
