mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod backlog_behind_the_channel;
    pub(super) mod calls_dropped_at_shutdown;
    pub(super) mod chunk_by_chunk;
    pub(super) mod completion_order;
    pub(super) mod detached;
    pub(super) mod error_ends_the_workers;
    pub(super) mod id_in_hand_dropped;
    pub(super) mod looks_before_it_waits;
    pub(super) mod looks_between_ids;
    pub(super) mod one_consumer;
    pub(super) mod panic_ends_a_worker;
    pub(super) mod producer_aborted_at_the_end;
    pub(super) mod producer_detached;
    pub(super) mod queue_dropped_at_shutdown;
    pub(super) mod receiver_locked_while_working;
    pub(super) mod room_for_one;
    pub(super) mod sender_kept;
    pub(super) mod stop_tosses_a_coin;
    pub(super) mod takes_one_more;
    pub(super) mod task_for_each_id;
    pub(super) mod unbounded_channel;
}

testing::prove_exercise!(queue, wrong: [
    backlog_behind_the_channel,
    calls_dropped_at_shutdown,
    chunk_by_chunk,
    completion_order,
    detached,
    error_ends_the_workers,
    id_in_hand_dropped,
    looks_before_it_waits,
    looks_between_ids,
    one_consumer,
    panic_ends_a_worker,
    producer_aborted_at_the_end,
    producer_detached,
    queue_dropped_at_shutdown,
    receiver_locked_while_working,
    room_for_one,
    sender_kept,
    stop_tosses_a_coin,
    takes_one_more,
    task_for_each_id,
    unbounded_channel,
]);
