#![allow(dead_code, reason = "the constants of the stub are what an answer may use")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_drop_after_the_stop;
    pub(super) mod a_listener_stays;
    pub(super) mod a_panic_skips_the_unlock;
    pub(super) mod an_error_skips_the_unlock;
    pub(super) mod asks_before_it_looks;
    pub(super) mod bound_from_the_start;
    pub(super) mod cancels_the_token_of_others;
    pub(super) mod closes_the_tracker;
    pub(super) mod drops_the_credit;
    pub(super) mod hears_the_stop_only;
    pub(super) mod looks_before_the_credit;
    pub(super) mod looks_between_the_steps;
    pub(super) mod nobody_owns_it;
    pub(super) mod one_error_hides_the_other;
    pub(super) mod shields_everything;
    pub(super) mod spawned_in_drop;
    pub(super) mod stop_reaches_the_unlock;
    pub(super) mod unlocks_after_the_await;
    pub(super) mod unlocks_in_the_caller;
    pub(super) mod unlocks_under_the_money;
    pub(super) mod unlocks_what_was_not_locked;
    pub(super) mod unlocks_without_a_bound;
    pub(super) mod waits_for_everybody;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check($($module)::+::transfer)
    };
}

testing::prove_exercise!(cancel, judged: judged, wrong: [
    a_drop_after_the_stop,
    a_listener_stays,
    a_panic_skips_the_unlock,
    an_error_skips_the_unlock,
    asks_before_it_looks,
    bound_from_the_start,
    cancels_the_token_of_others,
    closes_the_tracker,
    drops_the_credit,
    hears_the_stop_only,
    looks_before_the_credit,
    looks_between_the_steps,
    nobody_owns_it,
    one_error_hides_the_other,
    shields_everything,
    spawned_in_drop,
    stop_reaches_the_unlock,
    unlocks_after_the_await,
    unlocks_in_the_caller,
    unlocks_under_the_money,
    unlocks_what_was_not_locked,
    unlocks_without_a_bound,
    waits_for_everybody,
]);
