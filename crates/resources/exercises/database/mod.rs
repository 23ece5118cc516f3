mod check;
mod solution;
mod stub;
mod wrong {
    pub(super) mod a_discount_of_nothing;
    pub(super) mod a_gate_counted_by_hand;
    pub(super) mod a_patient_pool;
    pub(super) mod an_impatient_pool;
    pub(super) mod asks_again;
    pub(super) mod asks_anew_in_the_meantime;
    pub(super) mod bigger_pool;
    pub(super) mod charges_meanwhile;
    pub(super) mod longer_timeout;
    pub(super) mod nobody_hears_of_the_write;
    pub(super) mod one_permit_around_it_all;
    pub(super) mod one_statement_at_a_time;
    pub(super) mod only_the_bank;
    pub(super) mod only_the_discount;
    pub(super) mod permits_of_the_pools_size;
    pub(super) mod second_pool;
    pub(super) mod sold_though_declined;
    pub(super) mod writes_in_a_task;
    pub(super) mod yesterdays_price;
}

macro_rules! judged {
    ($($module:ident)::+) => {
        check::check(check::shops!($($module)::+))
    };
}

testing::prove_exercise!(database, judged: judged, stub_breaks: "served", wrong: [
    a_discount_of_nothing,
    a_gate_counted_by_hand,
    a_patient_pool,
    an_impatient_pool,
    asks_again,
    asks_anew_in_the_meantime,
    bigger_pool,
    charges_meanwhile,
    longer_timeout,
    nobody_hears_of_the_write,
    one_permit_around_it_all,
    one_statement_at_a_time,
    only_the_bank,
    only_the_discount,
    permits_of_the_pools_size,
    second_pool,
    sold_though_declined,
    writes_in_a_task,
    yesterdays_price,
]);
