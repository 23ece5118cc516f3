mod check;
mod solution;
mod stub;
mod wrong {
    // Each answer says `use super::check::{..}`, here as in the learner's file.
    use super::check;

    pub(super) mod a_client_for_each_call;
    pub(super) mod busy_at_once;
    pub(super) mod counts_by_hand;
    pub(super) mod counts_letters;
    pub(super) mod drains_whatever_comes;
    pub(super) mod error_bodies_unread;
    pub(super) mod health_unread;
    pub(super) mod no_bound;
    pub(super) mod no_time_limit;
    pub(super) mod one_at_a_time;
    pub(super) mod only_200;
    pub(super) mod place_for_the_head_only;
    pub(super) mod place_lost_when_broken;
    pub(super) mod reads_any_body;
    pub(super) mod redirect_is_success;
    pub(super) mod repeats_orders;
    pub(super) mod stops_after_failures;
    pub(super) mod takes_any_status;
    pub(super) mod the_wait_is_not_counted;
    pub(super) mod time_for_each_piece;
    pub(super) mod time_for_the_head_only;
    pub(super) mod times_out_the_task;
    pub(super) mod trusts_the_length;
    pub(super) mod waits_for_ever;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::catalogues!($($module)::+))
    };
}

testing::prove_exercise!(http_client, judged: judged, stub_breaks: "reuse", wrong: [
    a_client_for_each_call,
    busy_at_once,
    counts_by_hand,
    counts_letters,
    drains_whatever_comes,
    error_bodies_unread,
    health_unread,
    no_bound,
    no_time_limit,
    one_at_a_time,
    only_200,
    place_for_the_head_only,
    place_lost_when_broken,
    reads_any_body,
    redirect_is_success,
    repeats_orders,
    stops_after_failures,
    takes_any_status,
    the_wait_is_not_counted,
    time_for_each_piece,
    time_for_the_head_only,
    times_out_the_task,
    trusts_the_length,
    waits_for_ever,
]);
