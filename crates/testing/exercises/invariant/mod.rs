mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_limit_of_its_own;
    pub(super) mod aborted_with_its_handle;
    pub(super) mod finishes_in_a_task;
    pub(super) mod forgets_after_the_mail;
    pub(super) mod forgets_before_the_write;
    pub(super) mod guard_after_the_lines;
    pub(super) mod money_left_out;
    pub(super) mod noted_before_it_is_taken;
    pub(super) mod one_at_a_time;
    pub(super) mod undone_in_a_task;
    pub(super) mod undone_twice;
    pub(super) mod writes_first;
}

testing::prove_exercise!(invariant, answer: checkout, stub_breaks: "nothing-lost", wrong: [
    a_limit_of_its_own,
    aborted_with_its_handle,
    finishes_in_a_task,
    forgets_after_the_mail,
    forgets_before_the_write,
    guard_after_the_lines,
    money_left_out,
    noted_before_it_is_taken,
    one_at_a_time,
    undone_in_a_task,
    undone_twice,
    writes_first,
]);
