mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod aborts_after_the_await;
    pub(super) mod aborts_at_the_end;
    pub(super) mod drops_the_handles;
    pub(super) mod flag_for_the_heartbeat;
    pub(super) mod heartbeat_between_pages;
    pub(super) mod no_heartbeat;
    pub(super) mod one_set_for_everything;
    pub(super) mod only_the_last_refresh;
    pub(super) mod owned_after_an_await;
    pub(super) mod refresh_in_the_page;
    pub(super) mod refreshes_awaited_at_the_end;
    pub(super) mod timeout_inside_the_task;
    pub(super) mod waits_for_the_loser;
    pub(super) mod waits_for_what_timed_out;
}

testing::prove_exercise!(leak_hunt, answer: serve, stub_breaks: "page-over", wrong: [
    aborts_after_the_await,
    aborts_at_the_end,
    drops_the_handles,
    flag_for_the_heartbeat,
    heartbeat_between_pages,
    no_heartbeat,
    one_set_for_everything,
    only_the_last_refresh,
    owned_after_an_await,
    refresh_in_the_page,
    refreshes_awaited_at_the_end,
    timeout_inside_the_task,
    waits_for_the_loser,
    waits_for_what_timed_out,
]);
