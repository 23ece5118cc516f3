mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_task_without_a_net;
    pub(super) mod an_owner_that_waits;
    pub(super) mod asks_again_afterwards;
    pub(super) mod credits_at_once;
    pub(super) mod gives_back_after_the_await;
    pub(super) mod guard_not_disarmed;
    pub(super) mod holds_for_ever;
    pub(super) mod locks_as_they_come;
    pub(super) mod locks_itself_out;
    pub(super) mod looks_before_and_pays_after;
    pub(super) mod nothing_to_do;
    pub(super) mod one_lock_for_all;
    pub(super) mod only_the_call_is_a_task;
    pub(super) mod puts_back_an_old_balance;
    pub(super) mod puts_back_an_old_table;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::banks!($($module)::+))
    };
}

testing::prove_exercise!(shared_state, judged: judged, stub_breaks: "whole", wrong: [
    a_task_without_a_net,
    an_owner_that_waits,
    asks_again_afterwards,
    credits_at_once,
    gives_back_after_the_await,
    guard_not_disarmed,
    holds_for_ever,
    locks_as_they_come,
    locks_itself_out,
    looks_before_and_pays_after,
    nothing_to_do,
    one_lock_for_all,
    only_the_call_is_a_task,
    puts_back_an_old_balance,
    puts_back_an_old_table,
]);
