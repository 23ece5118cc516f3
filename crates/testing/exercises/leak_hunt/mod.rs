mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_replica_unwrapped;
    pub(super) mod aborts_after_the_await;
    pub(super) mod aborts_at_the_end;
    pub(super) mod drops_the_handles;
    pub(super) mod errors_as_prices;
    pub(super) mod flag_for_the_heartbeat;
    pub(super) mod goes_on_without_a_reader;
    pub(super) mod heartbeat_at_the_first_request;
    pub(super) mod heartbeat_between_pages;
    pub(super) mod no_heartbeat;
    pub(super) mod no_heartbeat_while_it_sends;
    pub(super) mod one_set_for_everything;
    pub(super) mod only_the_last_refresh;
    pub(super) mod owned_after_an_await;
    pub(super) mod refresh_in_the_page;
    pub(super) mod refreshes_awaited_at_the_end;
    pub(super) mod sleeps_before_the_heartbeat;
    pub(super) mod timeout_inside_the_task;
    pub(super) mod unsent_pages_dropped;
    pub(super) mod waits_for_a_reply;
    pub(super) mod waits_for_the_loser;
    pub(super) mod waits_for_what_timed_out;
}

testing::prove_exercise!(leak_hunt, answer: serve, stub_breaks: "page-over", wrong: [
    a_replica_unwrapped,
    aborts_after_the_await,
    aborts_at_the_end,
    drops_the_handles,
    errors_as_prices,
    flag_for_the_heartbeat,
    goes_on_without_a_reader,
    heartbeat_at_the_first_request,
    heartbeat_between_pages,
    no_heartbeat,
    no_heartbeat_while_it_sends,
    one_set_for_everything,
    only_the_last_refresh,
    owned_after_an_await,
    refresh_in_the_page,
    refreshes_awaited_at_the_end,
    sleeps_before_the_heartbeat,
    timeout_inside_the_task,
    unsent_pages_dropped,
    waits_for_a_reply,
    waits_for_the_loser,
    waits_for_what_timed_out,
]);
