mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_lock_around_everything;
    pub(super) mod holds_as_it_goes;
    pub(super) mod looks_twice;
    pub(super) mod never_released;
    pub(super) mod pays_first;
    pub(super) mod read_lock_then_write_lock;
    pub(super) mod releases_what_others_have;
    pub(super) mod seat_by_seat;
    pub(super) mod sections_in_the_order_of_the_seats;
    pub(super) mod sections_locked_while_paying;
    pub(super) mod waits_for_a_seat_that_is_sold;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::offices!($($module)::+))
    };
}

testing::prove_exercise!(lost_update, judged: judged, stub_breaks: "sold-once", wrong: [
    a_lock_around_everything,
    holds_as_it_goes,
    looks_twice,
    never_released,
    pays_first,
    read_lock_then_write_lock,
    releases_what_others_have,
    seat_by_seat,
    sections_in_the_order_of_the_seats,
    sections_locked_while_paying,
    waits_for_a_seat_that_is_sold,
]);
