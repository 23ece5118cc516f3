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
    pub(super) mod looks_between_ids;
    pub(super) mod one_consumer;
    pub(super) mod panic_ends_a_worker;
    pub(super) mod queue_dropped_at_shutdown;
    pub(super) mod receiver_locked_while_working;
    pub(super) mod room_for_one;
    pub(super) mod sender_kept;
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
    looks_between_ids,
    one_consumer,
    panic_ends_a_worker,
    queue_dropped_at_shutdown,
    receiver_locked_while_working,
    room_for_one,
    sender_kept,
    takes_one_more,
    task_for_each_id,
    unbounded_channel,
]);
