#![allow(dead_code, reason = "wrong answers leave some of it aside")]

mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_queue_of_sessions;
    pub(super) mod an_actor_waits_for_openings;
    pub(super) mod forgets_it_over_an_await;
    pub(super) mod forgets_the_permit_first;
    pub(super) mod forgets_the_place_in_a_panic;
    pub(super) mod gives_back_twice;
    pub(super) mod grows_when_opening_fails;
    pub(super) mod hands_it_to_a_ghost;
    pub(super) mod last_come_first_served;
    pub(super) mod leaves_between_wake_and_poll;
    pub(super) mod lends_what_a_panic_left;
    pub(super) mod looks_before_it_opens;
    pub(super) mod no_lease_outlives_it;
    pub(super) mod opens_all_at_the_first;
    pub(super) mod opens_one_each_time;
    pub(super) mod opens_under_a_lock;
    pub(super) mod overtaken_by_who_does_not_wait;
    pub(super) mod retries_until_it_opens;
    pub(super) mod spawned_in_drop;
}

use std::sync::Arc;

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check($($module)::+::Pool::new, |pool: Arc<$($module)::+::Pool>| async move { pool.get().await })
    };
}

testing::prove_exercise!(pool, judged: judged, wrong: [
    a_queue_of_sessions,
    an_actor_waits_for_openings,
    forgets_it_over_an_await,
    forgets_the_permit_first,
    forgets_the_place_in_a_panic,
    gives_back_twice,
    grows_when_opening_fails,
    hands_it_to_a_ghost,
    last_come_first_served,
    leaves_between_wake_and_poll,
    lends_what_a_panic_left,
    looks_before_it_opens,
    no_lease_outlives_it,
    opens_all_at_the_first,
    opens_one_each_time,
    opens_under_a_lock,
    overtaken_by_who_does_not_wait,
    retries_until_it_opens,
    spawned_in_drop,
]);
