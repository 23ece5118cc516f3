#![allow(dead_code, reason = "the constant of the stub is what an answer may use")]

mod check;
mod solution;
mod stub;
mod wrong {
    // Answers find it where the learner's file does.
    use super::check;

    pub(super) mod a_busy_commit_is_taken_for_one;
    pub(super) mod answers_for_the_rollback;
    pub(super) mod body_on_another_connection;
    pub(super) mod commit_error_ignored;
    pub(super) mod commit_in_a_task;
    pub(super) mod commits_in_finally;
    pub(super) mod keeps_the_connection_for_the_next_try;
    pub(super) mod left_open_when_refused;
    pub(super) mod once_too_often;
    pub(super) mod only_the_body_is_retried;
    pub(super) mod raw_begin;
    pub(super) mod raw_begin_and_a_catch;
    pub(super) mod raw_begin_on_the_retry;
    pub(super) mod retries_everything;
    pub(super) mod retries_in_the_same_transaction;
    pub(super) mod sleeps_in_the_transaction;
    pub(super) mod swallows_the_panic;
    pub(super) mod tried_once;
    pub(super) mod waits_for_a_connection_again;
}

use check::judged;

testing::prove_exercise!(transaction, judged: judged, wrong: [
    a_busy_commit_is_taken_for_one,
    answers_for_the_rollback,
    body_on_another_connection,
    commit_error_ignored,
    commit_in_a_task,
    commits_in_finally,
    keeps_the_connection_for_the_next_try,
    left_open_when_refused,
    once_too_often,
    only_the_body_is_retried,
    raw_begin,
    raw_begin_and_a_catch,
    raw_begin_on_the_retry,
    retries_everything,
    retries_in_the_same_transaction,
    sleeps_in_the_transaction,
    swallows_the_panic,
    tried_once,
    waits_for_a_connection_again,
]);
