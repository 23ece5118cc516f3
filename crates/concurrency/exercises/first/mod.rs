mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod aborted_and_not_awaited;
    pub(super) mod all_at_once;
    pub(super) mod errors_as_they_come;
    pub(super) mod fails_over_only;
    pub(super) mod first_to_finish;
    pub(super) mod gives_up_on_the_slow_one;
    pub(super) mod hedges_once;
    pub(super) mod losers_run_on;
    pub(super) mod no_limit;
    pub(super) mod none_is_a_panic;
    pub(super) mod one_too_many;
    pub(super) mod returns_with_the_set;
    pub(super) mod tasks_outlive_the_caller;
    pub(super) mod the_last_error_alone;
    pub(super) mod ticks;
    pub(super) mod waits_out_the_delay;
}

testing::prove_exercise!(first, wrong: [
    aborted_and_not_awaited,
    all_at_once,
    errors_as_they_come,
    fails_over_only,
    first_to_finish,
    gives_up_on_the_slow_one,
    hedges_once,
    losers_run_on,
    no_limit,
    none_is_a_panic,
    one_too_many,
    returns_with_the_set,
    tasks_outlive_the_caller,
    the_last_error_alone,
    ticks,
    waits_out_the_delay,
]);

#[test]
fn the_solution_takes_the_longest_delay_for_never() {
    let case = testing::Case::run("a slow replica, and no hedge", async |recorder| {
        let backend = common::Backend::new(&recorder);
        let answer = solution::first(
            backend.clone(),
            vec![1, 2],
            std::time::Duration::MAX,
            testing::calls::limit_of(2),
        );
        (answer.await.map(|reply| reply.id), backend.calls().len())
    });
    assert_eq!(case.expect("it neither panics nor waits").value, (Ok(1), 1));
}
