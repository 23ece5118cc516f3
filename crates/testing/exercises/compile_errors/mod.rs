mod check;
mod solution;
mod stub;
mod wrong {
    // Answers find it where the learner's file does.
    use super::check;

    pub(super) mod a_copy_for_each_call;
    pub(super) mod a_copy_for_each_task;
    pub(super) mod a_poller_for_each_poll;
    pub(super) mod a_poller_for_ever;
    pub(super) mod all_up_to_the_last;
    pub(super) mod asks_both_sources;
    pub(super) mod blocks_on_the_future;
    pub(super) mod copied_out_of_the_lock;
    pub(super) mod errors_as_labels;
    pub(super) mod level_by_level;
    pub(super) mod lock_across_the_call;
    pub(super) mod loop_instead_of_recursion;
    pub(super) mod no_tasks_any_more;
    pub(super) mod one_after_the_other;
    pub(super) mod one_child_after_the_other;
    pub(super) mod polled_once;
    pub(super) mod polls_without_labels;
    pub(super) mod settings_behind_a_lock;
    pub(super) mod settings_for_ever;
    pub(super) mod the_root_is_there;
}

use check::judged;

testing::prove_exercise!(compile_errors, judged: judged, wrong: [
    a_copy_for_each_call,
    a_copy_for_each_task,
    a_poller_for_each_poll,
    a_poller_for_ever,
    all_up_to_the_last,
    asks_both_sources,
    blocks_on_the_future,
    copied_out_of_the_lock,
    errors_as_labels,
    level_by_level,
    lock_across_the_call,
    loop_instead_of_recursion,
    no_tasks_any_more,
    one_after_the_other,
    one_child_after_the_other,
    polled_once,
    polls_without_labels,
    settings_behind_a_lock,
    settings_for_ever,
    the_root_is_there,
]);
