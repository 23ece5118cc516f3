mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod asks_once;
    pub(super) mod buffered_behind_a_channel;
    pub(super) mod chunk_by_chunk;
    pub(super) mod collects_first;
    pub(super) mod completion_order;
    pub(super) mod detached;
    pub(super) mod ends_at_the_first_error;
    pub(super) mod failures_left_out;
    pub(super) mod never_more_than_four;
    pub(super) mod one_by_one;
    pub(super) mod one_too_few;
    pub(super) mod one_too_many;
    pub(super) mod permit_dropped_at_once;
    pub(super) mod permit_inside_the_task;
    pub(super) mod permit_left_behind;
    pub(super) mod plain_buffered;
    pub(super) mod starts_at_once;
    pub(super) mod takes_all_ids;
    pub(super) mod unbounded_channel;
}

testing::prove_exercise!(bounded, wrong: [
    asks_once,
    buffered_behind_a_channel,
    chunk_by_chunk,
    collects_first,
    completion_order,
    detached,
    ends_at_the_first_error,
    failures_left_out,
    never_more_than_four,
    one_by_one,
    one_too_few,
    one_too_many,
    permit_dropped_at_once,
    permit_inside_the_task,
    permit_left_behind,
    plain_buffered,
    starts_at_once,
    takes_all_ids,
    unbounded_channel,
]);
