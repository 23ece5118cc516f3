mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod aborts_the_thread;
    pub(super) mod as_many_as_the_runtime_has;
    pub(super) mod counted_down_at_the_end;
    pub(super) mod counts_all_as_running;
    pub(super) mod handed_over_to_nobody;
    pub(super) mod in_an_async_block;
    pub(super) mod never_busy;
    pub(super) mod nobody_may_wait;
    pub(super) mod one_at_a_time;
    pub(super) mod panic_keeps_the_place;
    pub(super) mod panic_without_its_message;
    pub(super) mod permit_dropped_at_once;
    pub(super) mod permit_in_the_future;
    pub(super) mod spawned_on_the_runtime;
    pub(super) mod unwraps_the_join;
    pub(super) mod waits_in_a_task;
    pub(super) mod waits_on_the_thread;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::offloads!($($module)::+))
    };
}

testing::prove_exercise!(blocking, judged: judged, wrong: [
    aborts_the_thread,
    as_many_as_the_runtime_has,
    counted_down_at_the_end,
    counts_all_as_running,
    handed_over_to_nobody,
    in_an_async_block,
    never_busy,
    nobody_may_wait,
    one_at_a_time,
    panic_keeps_the_place,
    panic_without_its_message,
    permit_dropped_at_once,
    permit_in_the_future,
    spawned_on_the_runtime,
    unwraps_the_join,
    waits_in_a_task,
    waits_on_the_thread,
]);

/// Free, and so no rule: the hint adds the two up without a second thought.
#[tokio::test]
async fn the_solution_takes_any_number_of_callers() {
    use std::num::NonZeroUsize;

    for limit in [NonZeroUsize::MIN, NonZeroUsize::MAX] {
        let offload = solution::Offload::new(limit, usize::MAX);
        assert!(matches!(offload.run(|| 7).await, Ok(7)), "limit {limit}");
    }
}
