mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod asks_again;
    pub(super) mod bursts;
    pub(super) mod counts_what_came;
    pub(super) mod detached_worker;
    pub(super) mod goes_on_accepting;
    pub(super) mod hoards_in_its_own_queue;
    pub(super) mod leaves_at_the_stop;
    pub(super) mod looks_at_the_stop_between_orders;
    pub(super) mod orders_before_the_stop;
    pub(super) mod orders_before_the_ticks;
    pub(super) mod send_in_an_arm;
    pub(super) mod sleep_in_an_arm;
    pub(super) mod stop_races_the_line;
    pub(super) mod task_for_each_order;
    pub(super) mod tries_what_is_left;
    pub(super) mod two_awaits_in_the_arm;
}

testing::prove_exercise!(select, answer: run, stub_breaks: "every-order", wrong: [
    asks_again,
    bursts,
    counts_what_came,
    detached_worker,
    goes_on_accepting,
    hoards_in_its_own_queue,
    leaves_at_the_stop,
    looks_at_the_stop_between_orders,
    orders_before_the_stop,
    orders_before_the_ticks,
    send_in_an_arm,
    sleep_in_an_arm,
    stop_races_the_line,
    task_for_each_order,
    tries_what_is_left,
    two_awaits_in_the_arm,
]);
