mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod as_gather_does;
    pub(super) mod awaits_in_order;
    pub(super) mod completion_order;
    pub(super) mod detached;
    pub(super) mod errors_before_panics;
    pub(super) mod first_error_only;
    pub(super) mod keyed_by_id;
    pub(super) mod one_by_one;
    pub(super) mod panics_before_the_rest_is_gone;
    pub(super) mod returns_with_the_set;
    pub(super) mod swallows_the_panic;
    pub(super) mod try_join_all_of_forty;
    pub(super) mod unwraps_the_join;
    pub(super) mod waits_without_stopping;
}

testing::prove_exercise!(task_group, wrong: [
    as_gather_does,
    awaits_in_order,
    completion_order,
    detached,
    errors_before_panics,
    first_error_only,
    keyed_by_id,
    one_by_one,
    panics_before_the_rest_is_gone,
    returns_with_the_set,
    swallows_the_panic,
    try_join_all_of_forty,
    unwraps_the_join,
    waits_without_stopping,
]);
