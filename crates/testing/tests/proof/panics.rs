//! Every `assert_*` passes where its `check_*` does, and panics at the line of the test where it does not.

use crate::ms;
use testing::{
    Case,
    proof::{Envelope, Gauge, Ledger, Rendezvous},
};

macro_rules! panics_here {
    ($assertion:expr) => {
        let verdict = Case::run("", async |_| $assertion).map(|_: Case<()>| ()).unwrap_err();
        let here = format!("panics.rs:{}: expected: ", line!());
        assert!(verdict.message().contains(&here), "{here}... is not in {}", verdict.message());
    };
}

#[test]
fn each_names_the_line_of_the_test() {
    let (gauge, ledger) = (Gauge::new(), Ledger::new());
    let inside = (gauge.enter("call"), ledger.entry("call"), ledger.entry("other"));
    panics_here!(gauge.assert_peak(2));
    panics_here!(gauge.assert_at_most(0));
    panics_here!(gauge.assert_total(2));
    panics_here!(gauge.assert_idle());
    panics_here!(ledger.assert_all_finished());
    panics_here!(ledger.assert_all_ended());
    panics_here!(ledger.assert_dropped("call"));
    panics_here!(ledger.assert_order(["call"]));
    panics_here!(ledger.assert_over_before("call"));
    panics_here!(Rendezvous::new(2).assert_met());
    panics_here!(Envelope::of(&[ms(10)], 3).assert(ms(20)));
    drop(inside);
}

#[test]
fn each_passes_where_all_is_right() {
    let (gauge, ledger) = (Gauge::new(), Ledger::new());
    let outer = ledger.entry("outer");
    drop((gauge.enter("call"), ledger.entry("call"), outer));
    gauge.assert_peak(1);
    gauge.assert_at_most(1);
    gauge.assert_total(1);
    gauge.assert_idle();
    ledger.assert_all_ended();
    ledger.assert_dropped("call");
    ledger.assert_order(["call", "outer"]);
    ledger.assert_over_before("outer");
    Envelope::of(&[ms(10)], 3).assert(ms(10));
}
