mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod awaits_tasks_in_order;
    pub(super) mod clones_and_spawns;
    pub(super) mod completion_order;
    pub(super) mod entry_in_drop;
    pub(super) mod entry_shielded;
    pub(super) mod futures_in_a_row;
    pub(super) mod handles_run_on;
    pub(super) mod join_and_then_ask;
    pub(super) mod one_by_one;
    pub(super) mod panic_as_cancelled;
    pub(super) mod panic_goes_through;
    pub(super) mod try_join_for_writes;
    pub(super) mod uploads_then_entries;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::answer!($($module)::+))
    };
}

testing::prove_exercise!(join, judged: judged, wrong: [
    awaits_tasks_in_order,
    clones_and_spawns,
    completion_order,
    entry_in_drop,
    entry_shielded,
    futures_in_a_row,
    handles_run_on,
    join_and_then_ask,
    one_by_one,
    panic_as_cancelled,
    panic_goes_through,
    try_join_for_writes,
    uploads_then_entries,
]);
