mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod always_slow;
    pub(super) mod an_await_in_between;
    pub(super) mod asks_no_auditor;
    pub(super) mod audit_without_waiting;
    pub(super) mod books_first;
    pub(super) mod gives_up;
    pub(super) mod line_in_a_task;
    pub(super) mod line_is_dropped;
    pub(super) mod locks_one_after_the_other;
    pub(super) mod more_patience;
    pub(super) mod only_the_futurelock;
    pub(super) mod only_the_order;
    pub(super) mod runs_on_without_its_order;
    pub(super) mod sold_in_two_steps;
    pub(super) mod starts_again;
    pub(super) mod tries_again_and_again;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::shops!($($module)::+))
    };
}

testing::prove_exercise!(deadlock, judged: judged, stub_breaks: "ends", wrong: [
    always_slow,
    an_await_in_between,
    asks_no_auditor,
    audit_without_waiting,
    books_first,
    gives_up,
    line_in_a_task,
    line_is_dropped,
    locks_one_after_the_other,
    more_patience,
    only_the_futurelock,
    only_the_order,
    runs_on_without_its_order,
    sold_in_two_steps,
    starts_again,
    tries_again_and_again,
]);
