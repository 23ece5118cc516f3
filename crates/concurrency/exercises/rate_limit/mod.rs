mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_period_of_ten_milliseconds_at_least;
    pub(super) mod counts_in_32_bits;
    pub(super) mod each_sleeps_alone;
    pub(super) mod fixed_window;
    pub(super) mod keeps_its_own_sender;
    pub(super) mod no_queue;
    pub(super) mod one_too_many;
    pub(super) mod refilled_by_the_clock;
    pub(super) mod refilled_in_lumps;
    pub(super) mod reserves_a_turn;
    pub(super) mod saves_without_a_limit;
    pub(super) mod sleeps_a_whole_period;
    pub(super) mod sleeps_first;
    pub(super) mod whole_milliseconds;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::limits!($($module)::+))
    };
}

testing::prove_exercise!(rate_limit, judged: judged, wrong: [
    a_period_of_ten_milliseconds_at_least,
    counts_in_32_bits,
    each_sleeps_alone,
    fixed_window,
    keeps_its_own_sender,
    no_queue,
    one_too_many,
    refilled_by_the_clock,
    refilled_in_lumps,
    reserves_a_turn,
    saves_without_a_limit,
    sleeps_a_whole_period,
    sleeps_first,
    whole_milliseconds,
]);
