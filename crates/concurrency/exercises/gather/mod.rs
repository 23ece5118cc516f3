mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod all_at_once;
    pub(super) mod chunk_by_chunk;
    pub(super) mod completion_order;
    pub(super) mod detached;
    pub(super) mod failures_left_out;
    pub(super) mod keyed_by_id;
    pub(super) mod one_by_one;
    pub(super) mod panic_keeps_the_permit;
    pub(super) mod permit_inside_the_task;
    pub(super) mod unwraps_the_join;
}

testing::prove_exercise!(gather, wrong: [
    all_at_once,
    chunk_by_chunk,
    completion_order,
    detached,
    failures_left_out,
    keyed_by_id,
    one_by_one,
    panic_keeps_the_permit,
    permit_inside_the_task,
    unwraps_the_join,
]);
